"""Start bqemulator with the corrections applied: `python -m emulators.bigquery start --rest-port ...`."""

import duckdb
import duckdb_extensions

# bqemulator downloads its DuckDB extensions when they are absent; the wheels bring them without a network.
with duckdb.connect() as connection:
    for name in ("spatial", "avro"):
        duckdb_extensions.import_extension(name, con=connection)

from bqemulator.cli import main

from emulators.bigquery import jobs, loads, sql, statistics, tables

sql.apply()
loads.apply()
jobs.apply()
tables.apply()
statistics.apply()
main()
