"""The ledger: what each run did, as objects under runs/<run>/ and as rows of ops.runs and ops.run_counts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import Conflict
from google.cloud import bigquery, storage

from gcs_export_pipeline import declaration
from gcs_export_pipeline.config import RUNS, Config, parse_hour
from gcs_export_pipeline.objects import ARROW_TYPES
from pipeline.stages import DBT_CANDIDATE
from pipeline.summary import EVENTS, Summary

#: Column: type, description.
RUN_COLUMNS = {
    "run": ("STRING", "Name of the run."),
    "started_at": ("TIMESTAMP", "When the run began."),
    "finished_at": ("TIMESTAMP", "When it ended; missing where it was killed."),
    "status": ("STRING", "succeeded, failed, or killed where it ended without a word."),
    "stage": ("STRING", "The stage that failed or did not end."),
    "message": ("STRING", "What the failed stage said."),
    "asked": ("STRING", "The hours or the stage that were asked for; empty for what was new."),
    "hours": ("INT64", "Ingest hours that the run brought into the dimensions."),
    "published": ("BOOL", "Whether analysts see this run's tables since."),
}
COUNT_COLUMNS = {
    "run": ("STRING", "Name of the run."),
    "started_at": ("TIMESTAMP", "When the run began."),
    "stage": ("STRING", "Stage of the run: dimensions, load, transform, quality or publish."),
    "dimension": ("STRING", "Dimension; missing for what is about events, or about the stage as a whole."),
    "ingest_hour": ("TIMESTAMP", "Window that the count is about; missing where it is about all of them together."),
    "measure": ("STRING", "What was counted; docs/operations.md lists the measures."),
    "row_count": ("INT64", "Rows."),
    "byte_count": ("INT64", "Bytes: of the raw objects, of the Parquet written or loaded, or read by queries."),
    "seconds": ("FLOAT64", "Seconds that it took."),
    "job_id": ("STRING", "BigQuery's job, or jobs, separated by spaces."),
}


@dataclass
class Run:
    """A run as the ledger has it."""

    run: str
    asked: str
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())
    finished_at: str | None = None
    status: str = "running"
    stage: str | None = None
    message: str | None = None
    hours: int = 0
    published: bool = False
    #: Seconds by stage.
    seconds: dict[str, float] = field(default_factory=dict)
    #: Bytes that the stage's queries read.
    bytes: dict[str, int] = field(default_factory=dict)


def begin(client: storage.Client, config: Config, run: Run) -> None:
    """Write down that the run is under way, so that it is not forgotten if it is killed."""
    _blob(client, config, run.run, "run.json").upload_from_string(json.dumps(asdict(run), indent=1), "application/json")


def finish(client: storage.Client, config: Config, run: Run, counted: Summary | None) -> None:
    """Write down how the run ended and what it counted, in both places; to repeat it adds nothing."""
    run.finished_at = run.finished_at or datetime.now(UTC).isoformat()
    begin(client, config, run)
    _record(client, config, run, list(_counts(client, config, run, counted)))


def note_killed(client: storage.Client, config: Config, name: str) -> None:
    """Record a run that ended without a word as killed, with what its stages had noted."""
    blob = _blob(client, config, name, "run.json")
    known = json.loads(blob.download_as_bytes()) if blob.exists() else {"run": name, "asked": ""}
    run = Run(**(known | {"status": "killed", "message": "ended without a word; its lock was taken over"}))
    blob.upload_from_string(json.dumps(asdict(run), indent=1), "application/json")
    _record(client, config, run, list(_counts(client, config, run, None)))


def bytes_read(config: Config, since: datetime) -> int:
    """Bytes that this account's queries have read in the project since then."""
    client = bigquery.Client(project=config.project, location=config.location)
    total = 0
    for job in client.list_jobs(min_creation_time=since):  # the newest first
        if job.created < since:
            break
        total += int(getattr(job, "total_bytes_processed", None) or 0)
    return total


def _blob(client: storage.Client, config: Config, run: str, name: str) -> storage.Blob:
    return client.bucket(config.bucket).blob(f"{RUNS}/{run}/{name}")


def _stage_record(client: storage.Client, config: Config, run: str, name: str) -> dict[str, Any] | None:
    blob = _blob(client, config, run, name)
    return json.loads(blob.download_as_bytes()) if blob.exists() else None


def _counts(client: storage.Client, config: Config, run: Run, counted: Summary | None) -> Iterator[dict[str, Any]]:
    """The rows of run_counts: from the records of the stages, and what the run itself counted."""
    for stage, seconds in run.seconds.items():
        yield {"stage": stage, "measure": "stage", "seconds": seconds, "byte_count": run.bytes.get(stage)}
    spark = _stage_record(client, config, run.run, "spark.json")
    for hour in spark["records"] if spark else ():
        at = {"stage": "dimensions", "ingest_hour": parse_hour(hour["hour"])}
        for measure in EVENTS:
            read = {"byte_count": hour["bytes"]} if measure == "raw" else {}
            yield at | {"measure": measure, "row_count": hour["rows"][measure]} | read
        yield at | {"measure": "objects", "row_count": len(hour["objects"])}
        yield at | {"measure": "objects_set_aside", "row_count": len(hour["set_aside"])}
        for name, size in hour["dimensions"].items():
            written = {"measure": "parquet", "row_count": size["rows"], "byte_count": size["bytes"]}
            yield at | {"dimension": name} | written
    load = _stage_record(client, config, run.run, "load.json")
    for each in load["dimensions"] if load else ():
        at = {"stage": "load", "dimension": each["dimension"]}
        job = {"byte_count": each["bytes"], "seconds": each["seconds"], "job_id": " ".join(each["jobs"])}
        yield at | {"measure": "loaded", "row_count": each["rows"]} | job
        for hour in each["parquet"]:
            of_hour = at | {"ingest_hour": parse_hour(hour["hour"])}
            yield of_hour | {"measure": "footers", "row_count": hour["rows"]}
            yield of_hour | {"measure": "staging", "row_count": hour["staging"]}
    if "transform" in run.seconds:
        yield from _dbt_jobs(DBT_CANDIDATE / "run_results.json")
    if counted is None:
        return
    for name, by_hour in counted.dimensions.items():
        for hour_name, counts in by_hour.items():
            at = {"stage": "transform", "dimension": name, "ingest_hour": parse_hour(hour_name)}
            for measure, rows in asdict(counts).items():
                if measure not in ("parquet", "staging"):
                    yield at | {"measure": measure, "row_count": rows}
    for name, rows in counted.tables.items():
        yield {"stage": "transform", "dimension": name, "measure": "candidate", "row_count": rows["candidate"]}
        if run.published:
            yield {"stage": "publish", "dimension": name, "measure": "published", "row_count": rows["published"]}


def _dbt_jobs(results: Path) -> Iterator[dict[str, Any]]:
    """The job of each dimension's model, as dbt reports it."""
    for each in json.loads(results.read_text())["results"] if results.exists() else ():
        kind, _, name = each["unique_id"].split(".")[:3]
        if kind == "model" and name.removeprefix("dim_") in declaration.dimensions():
            response = each["adapter_response"]
            yield {
                "stage": "transform",
                "dimension": name.removeprefix("dim_"),
                "measure": "merged",
                "row_count": response.get("rows_affected"),
                "byte_count": response.get("bytes_processed"),
                "seconds": round(each["execution_time"], 1),
                "job_id": response.get("job_id"),
            }


def _record(client: storage.Client, config: Config, run: Run, counts: list[dict[str, Any]]) -> None:
    warehouse = bigquery.Client(project=config.project, location=config.location)
    dataset = bigquery.Dataset(f"{config.project}.{config.ops}")
    dataset.location = config.location
    warehouse.create_dataset(dataset, exists_ok=True)
    times = {
        name: datetime.fromisoformat(value) if (value := getattr(run, name)) else None
        for name in ("started_at", "finished_at")
    }
    of_run = {"run": run.run, "started_at": times["started_at"]}
    _append(warehouse, client, config, run, "runs", RUN_COLUMNS, [asdict(run) | times])
    _append(warehouse, client, config, run, "run_counts", COUNT_COLUMNS, [of_run | each for each in counts])


def _append(
    warehouse: bigquery.Client,
    client: storage.Client,
    config: Config,
    run: Run,
    name: str,
    columns: dict[str, tuple[str, str]],
    rows: list[dict[str, Any]],
) -> None:
    """Add rows to a table of the ledger by a load job that has the run's name, so that it happens once."""
    table = bigquery.Table(
        f"{config.project}.{config.ops}.{name}",
        schema=[bigquery.SchemaField(each, type_, description=words) for each, (type_, words) in columns.items()],
    )
    table.time_partitioning = bigquery.TimePartitioning(type_=bigquery.TimePartitioningType.MONTH, field="started_at")
    warehouse.create_table(table, exists_ok=True)
    arrow = pa.schema([(each, ({"BOOL": pa.bool_()} | ARROW_TYPES)[type_]) for each, (type_, _) in columns.items()])
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{each: row.get(each) for each in columns} for row in rows], arrow), content)
    blob = _blob(client, config, run.run, f"{name}.parquet")
    blob.upload_from_string(content.getvalue())
    job_id = f"ledger-{name}-{run.run}-{run.status}"
    try:
        job = warehouse.load_table_from_uri(
            f"gs://{config.bucket}/{blob.name}",
            table.reference,
            job_id=job_id,
            job_config=bigquery.LoadJobConfig(
                source_format="PARQUET", write_disposition="WRITE_APPEND", schema=table.schema
            ),
        )
    except Conflict:
        job = warehouse.get_job(job_id)
    job.result(timeout=600)
