"""bqemulator 1.4.0 with the corrections that make it answer as BigQuery does; see docs/emulators.md for the list."""
