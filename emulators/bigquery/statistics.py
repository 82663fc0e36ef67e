"""Corrections to what bqemulator tells about a job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from bqemulator.api.routes import jobs as job_routes
from bqemulator.jobs import executor
from bqemulator.storage.engine import DuckDBEngine

_PROFILE = {"OPERATOR_TYPE": "true", "OPERATOR_ROWS_SCANNED": "true", "EXTRA_INFO": "true"}
#: A value of INT64, FLOAT64 or TIMESTAMP; others are counted as if they were as long.
VALUE_BYTES = 8
_processed: ContextVar[list[int] | None] = ContextVar("processed", default=None)


def apply() -> None:
    """Install every correction of this module into the running process."""
    queries_tell_the_bytes_that_they_read()


def queries_tell_the_bytes_that_they_read() -> None:
    """`totalBytesProcessed` counts the values of the columns that a query scans; stock it is 0.

    As on BigQuery, a column or a part of a table that is not read costs nothing. DuckDB leaves out blocks of 122,880
    rows whose minimum and maximum show that no row is wanted, where BigQuery leaves out partitions.
    """
    stock_start, stock_execute, stock_fetch = DuckDBEngine.start, DuckDBEngine.execute, DuckDBEngine.fetch_arrow
    stock_job, stock_statistics = executor.execute_query_job, executor._build_query_statistics

    async def start(self: DuckDBEngine) -> None:
        await stock_start(self)
        self.connection.execute("PRAGMA enable_profiling = 'no_output'")
        self.connection.execute(f"PRAGMA custom_profiling_settings = '{json.dumps(_PROFILE)}'")

    def execute(self: DuckDBEngine, sql: str, parameters: list[Any] | None = None) -> Any:
        result = stock_execute(self, sql, parameters)
        if not sql.lstrip("( \n").upper().startswith(("SELECT", "WITH")):  # those have not run before they are fetched
            _add(self)
        return result

    def fetch_arrow(self: DuckDBEngine, sql: str, parameters: list[Any] | None = None) -> Any:
        result = stock_fetch(self, sql, parameters)
        _add(self)
        return result

    async def job(*args: Any, **kwargs: Any) -> Any:
        token = _processed.set([])
        try:
            return await stock_job(*args, **kwargs)
        finally:
            _processed.reset(token)

    def statistics(**kwargs: Any) -> dict[str, Any]:
        found = stock_statistics(**kwargs)
        total = str(sum(_processed.get() or []))
        found["query"] |= {"totalBytesProcessed": total, "totalBytesBilled": total}
        return found | {"totalBytesProcessed": total}

    DuckDBEngine.start, DuckDBEngine.execute, DuckDBEngine.fetch_arrow = start, execute, fetch_arrow
    executor.execute_query_job = job_routes.execute_query_job = job
    executor._build_query_statistics = statistics


def _add(engine: DuckDBEngine) -> None:
    """Add what the last statement read to the job under way."""
    found = _processed.get()
    if found is not None:
        profile = engine.connection.get_profiling_information(format="json")
        found.append(sum(_scans(json.loads(profile or "{}"))))


def _scans(node: dict[str, Any]) -> Iterator[int]:
    """Bytes of each scan of a table in a profile."""
    info = node.get("extra_info") or {}
    if node.get("operator_type") == "TABLE_SCAN" and "Table" in info:
        columns = info.get("Projections") or []
        columns = [columns] if isinstance(columns, str) else columns
        width = len(columns) + ("Filters" in info)
        yield int(node.get("operator_rows_scanned", 0)) * width * VALUE_BYTES
    for child in node.get("children", ()):
        yield from _scans(child)
