"""Raw order events in Cloud Storage to the Parquet of the seven dimensions."""
