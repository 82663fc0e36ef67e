"""Corrections to how bqemulator makes tables."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Any

from bqemulator.api.routes import jobs as job_routes
from bqemulator.api.routes import tables as table_routes
from bqemulator.jobs import executor
from bqemulator.versioning.clone import CloneManager

_CLONE_REPLACES = re.compile(r"\bcreate\s+or\s+replace\s+table\s+\S+\s+clone\b", re.I)
_replacing: ContextVar[bool] = ContextVar("replacing", default=False)


def apply() -> None:
    """Install every correction of this module into the running process."""
    required_fields_are_required()
    clones_replace()


def required_fields_are_required() -> None:
    """A REQUIRED field of a table made by tables.insert takes no NULL; stock it takes all."""
    stock = table_routes.bq_schema_to_duckdb_columns

    def columns(fields: list[dict[str, Any]]) -> list[tuple[str, str]]:
        required = {field["name"] for field in fields if field.get("mode") == "REQUIRED"}
        return [(name, f"{kind} NOT NULL" if name in required else kind) for name, kind in stock(fields)]

    table_routes.bq_schema_to_duckdb_columns = columns


def clones_replace() -> None:
    """CREATE OR REPLACE TABLE ... CLONE replaces a table at once, and a clone keeps the descriptions of its source.

    Stock it answers that the table exists.
    """
    stock_create, stock_execute = CloneManager.create, executor.execute_query_job

    async def execute(project_id: str, job_id: str, sql: str, *args: Any, **kwargs: Any) -> Any:
        token = _replacing.set(bool(_CLONE_REPLACES.search(sql)))
        try:
            return await stock_execute(project_id, job_id, sql, *args, **kwargs)
        finally:
            _replacing.reset(token)

    async def create(self: CloneManager, project: str, dataset: str, table: str, *source: str) -> Any:
        catalog, engine = self._ctx.catalog, self._ctx.engine
        found = catalog.get_table(*source)
        existing = catalog.get_table(project, dataset, table)
        if existing is None or found is None or not _replacing.get():
            meta = await stock_create(self, project, dataset, table, *source)
        else:
            target, origin = executor.quoted_table_ref(project, dataset, table), executor.quoted_table_ref(*source)
            async with engine.write_lock():
                engine.execute(f"CREATE OR REPLACE TABLE {target} AS SELECT * FROM {origin}")
            layout = {"schema_": found.schema_, "num_rows": found.num_rows, "last_modified_time": self._ctx.clock.now()}
            layout |= {"time_partitioning": found.time_partitioning, "clustering": found.clustering}
            meta = existing.model_copy(update=layout)
        meta = meta.model_copy(update={"description": found.description if found else None})
        catalog.update_table(meta)
        return meta

    executor.execute_query_job = job_routes.execute_query_job = execute
    CloneManager.create = create
