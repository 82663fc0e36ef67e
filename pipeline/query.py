"""Print what a query returns: `python -m pipeline.query 'select ...'`."""

from __future__ import annotations

import sys

from google.cloud import bigquery
from rich.console import Console
from rich.table import Table

from gcs_export_pipeline.config import REPORTED, Config

MOST_ROWS, MOST_COLUMNS = 100, 6


def main(sql: str) -> int:
    """0 with the rows as a table, 1 with BigQuery's error."""
    try:
        config = Config.from_environment()
        client = bigquery.Client(project=config.project, location=config.location)
        rows = client.query_and_wait(sql, max_results=MOST_ROWS)
    except REPORTED as error:
        print(f"query: {getattr(error, 'message', error)}", file=sys.stderr)
        return 1
    names = [field.name for field in rows.schema]
    found = [["" if value is None else str(value) for value in row.values()] for row in rows]
    if len(names) <= MOST_COLUMNS:
        table = Table(*names)
        for values in found:
            table.add_row(*values)
    else:  # too wide to stand side by side: a block of lines for each row
        table = Table("column", "value")
        for values in found:
            for name, value in zip(names, values, strict=True):
                table.add_row(name, value)
            table.add_section()
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
