"""Print what a query returns: `python -m pipeline.query 'select ...'`."""

from __future__ import annotations

import sys

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery
from rich.console import Console
from rich.table import Table

from gcs_export_pipeline.config import Config, ConfigError

MOST_ROWS = 100


def main(sql: str) -> int:
    """0 with the rows as a table, 1 with BigQuery's error."""
    try:
        config = Config.from_environment()
        client = bigquery.Client(project=config.project, location=config.location)
        rows = client.query_and_wait(sql, max_results=MOST_ROWS)
    except (ConfigError, GoogleAPIError) as error:
        print(f"query: {getattr(error, 'message', error)}", file=sys.stderr)
        return 1
    table = Table(*[field.name for field in rows.schema])
    for row in rows:
        table.add_row(*["" if value is None else str(value) for value in row.values()])
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
