"""Parquet load jobs as BigQuery runs them.

Stock bqemulator matches Parquet columns by position, empties the table before it reads the files, knows no
`table$partition`, answers an unmatched URI with a success, and counts the whole table as output.
"""

from __future__ import annotations

import glob
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from bqemulator.api.routes import jobs as job_routes
from bqemulator.api.routes import upload as upload_routes
from bqemulator.api.routes.tables import _rest_to_clustering, _rest_to_time_partitioning
from bqemulator.catalog.models import JobMeta
from bqemulator.domain.errors import InvalidQueryError, NotFoundError
from bqemulator.jobs import executor

_PARTITION = {4: ("year", "%Y"), 6: ("month", "%Y%m"), 8: ("day", "%Y%m%d"), 10: ("hour", "%Y%m%d%H")}


def apply() -> None:
    """Replace Parquet loads by `load_parquet`."""
    stock = executor.execute_load_job

    async def execute(project_id: str, job_id: str, config: dict[str, Any], ctx: Any) -> JobMeta:
        if config.get("load", {}).get("sourceFormat") != "PARQUET":
            return await stock(project_id, job_id, config, ctx)
        return await load_parquet(project_id, job_id, config, ctx)

    executor.execute_load_job = job_routes.execute_load_job = upload_routes.execute_load_job = execute


async def load_parquet(project_id: str, job_id: str, config: dict[str, Any], ctx: Any) -> JobMeta:
    """Run one load in one transaction: its rows replace the table or partition, or nothing changes."""
    started = ctx.clock.now()
    load = config["load"]
    destination = load["destinationTable"]
    project, dataset = destination.get("projectId", project_id), destination["datasetId"]
    table_id, _, partition = destination["tableId"].partition("$")
    if ctx.catalog.get_dataset(project, dataset) is None:
        raise NotFoundError(f"Not found: Dataset {project}:{dataset}")
    files = _files(load.get("sourceUris", []), ctx)
    if ctx.catalog.get_table(project, dataset, table_id) is None:
        _create_table(project, dataset, table_id, load, started, ctx)
    table = ctx.catalog.get_table(project, dataset, table_id)
    target = executor.quoted_table_ref(project, dataset, table_id)
    in_partition = _partition_predicate(table, partition)
    async with ctx.engine.write_lock():
        cursor = ctx.engine.connection.cursor()
        try:
            cursor.execute("SET TimeZone = 'UTC'; BEGIN TRANSACTION")
            rows = _replace_rows(cursor, target, files, load, table, in_partition)
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()
        total = ctx.engine.execute(f"SELECT count(*) FROM {target}").fetchone()[0]
    ctx.catalog.update_table(table.model_copy(update={"num_rows": total, "last_modified_time": ctx.clock.now()}))
    size = sum(Path(file).stat().st_size for file in files)
    return JobMeta(
        project_id=project_id,
        job_id=job_id,
        job_type="LOAD",
        state="DONE",
        configuration=config,
        statistics={
            "load": {
                "outputRows": str(rows),
                "inputFiles": str(len(files)),
                "inputFileBytes": str(size),
                "outputBytes": str(size),
                "badRecords": "0",
            }
        },
        creation_time=started,
        start_time=started,
        end_time=ctx.clock.now(),
        etag=executor.generate_etag(project_id, job_id, str(started)),
    )


def _files(uris: list[str], ctx: Any) -> list[str]:
    """The local files behind `uris`, each of which must match at least one object."""
    found: list[str] = []
    for uri in uris:
        path = executor._resolve_uri(uri, ctx)
        matches = sorted(file for file in glob.glob(path) if Path(file).is_file())  # noqa: PTH207
        if not matches:
            raise NotFoundError(f"Not found: Uris {uri}")
        found += matches
    return found


def _create_table(project: str, dataset: str, table_id: str, load: dict[str, Any], now: datetime, ctx: Any) -> None:
    executor._maybe_create_load_destination(
        dest_project=project, dest_dataset=dataset, dest_table_id=table_id, load_config=load, now=now, ctx=ctx
    )
    table = ctx.catalog.get_table(project, dataset, table_id)
    if table is None:
        raise InvalidQueryError(f"Table {dataset}.{table_id} does not exist and the load gives no schema")
    layout = {
        "time_partitioning": _rest_to_time_partitioning(load.get("timePartitioning"), None),
        "clustering": _rest_to_clustering(load.get("clustering"), None),
    }
    ctx.catalog.update_table(table.model_copy(update=layout))


def _partition_predicate(table: Any, partition: str) -> str | None:
    """SQL that is true for the rows of `table$partition`, or None for the whole table."""
    if not partition:
        return None
    field = table.time_partitioning.field if table.time_partitioning else None
    if field is None or len(partition) not in _PARTITION or not re.fullmatch(r"\d+", partition):
        raise InvalidQueryError(f"Table {table.table_id} has no partition ${partition}")
    unit, pattern = _PARTITION[len(partition)]
    if unit.upper() != str(getattr(table.time_partitioning.type, "value", table.time_partitioning.type)):
        raise InvalidQueryError(f"Partition ${partition} does not fit the partitioning of table {table.table_id}")
    start = datetime.strptime(partition, pattern)
    return f"(\"{field}\" >= TIMESTAMPTZ '{start}+00' AND \"{field}\" < TIMESTAMPTZ '{start}+00' + INTERVAL 1 {unit})"


def _replace_rows(
    cursor: Any, target: str, files: list[str], load: dict[str, Any], table: Any, in_partition: str | None
) -> int:
    """Insert the files' rows by column name and return how many; raises where BigQuery would refuse them."""
    disposition = load.get("writeDisposition", "WRITE_APPEND")
    where = f" WHERE {in_partition}" if in_partition else ""
    if disposition == "WRITE_TRUNCATE":
        cursor.execute(f"DELETE FROM {target}{where}")
    elif disposition == "WRITE_EMPTY" and cursor.execute(f"SELECT count(*) FROM {target}{where}").fetchone()[0]:
        raise InvalidQueryError(f"Table {table.table_id} is not empty and writeDisposition is WRITE_EMPTY")
    source = "read_parquet(?, hive_partitioning=false, union_by_name=true)"
    columns = [row[0] for row in cursor.execute(f"DESCRIBE SELECT * FROM {source}", [files]).fetchall()]
    unknown = set(columns) - {field.name for field in table.schema_.fields}
    if unknown:
        raise InvalidQueryError(
            f"Provided Schema does not match Table {table.table_id}. Cannot add fields (field: {min(unknown)})"
        )
    if in_partition:
        outside = cursor.execute(f"SELECT count(*) FROM {source} WHERE NOT {in_partition}", [files]).fetchone()[0]
        if outside:
            raise InvalidQueryError(f"{outside} rows do not belong to the partition that the load names")
    cursor.execute(f"INSERT INTO {target} BY NAME SELECT * FROM {source}", [files])
    return int(cursor.execute(f"SELECT count(*) FROM {source}", [files]).fetchone()[0])
