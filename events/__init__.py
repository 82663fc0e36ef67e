"""Raw events: made ones, and those of the real DataCo CSV, written as a stream consumer would."""
