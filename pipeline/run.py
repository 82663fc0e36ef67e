"""One run: the stages that have something to do, under the lock, with every row accounted for."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery, storage

from gcs_export_pipeline import hours, lock, staging
from gcs_export_pipeline.config import Config, parse_hour
from pipeline import candidate, ledger, stages, summary
from pipeline.stages import BUILD, Stage, StageError

STAGES = ("dimensions", "load", "transform", "quality", "publish")


class Pipeline:
    """A run under way over the ingest hours [start, end), or over what is new where both are empty."""

    def __init__(
        self, config: Config, held: lock.Lock, record: ledger.Run, start: str, end: str, full: bool, replay: bool
    ) -> None:
        """Of the lock and the ledger's record; the rest as `run` takes it."""
        self.config, self.lock, self.record = config, held, record
        self.start, self.end, self.full, self.replay = start, end, full, replay
        self.bounds = (parse_hour(start) if start else None, parse_hour(end) if end else None)
        self.client = storage.Client(project=config.project)
        self.counted: summary.Summary | None = None

    def execute(self, stage: Stage) -> None:
        """Run a stage and note its seconds, and the bytes that its queries read."""
        self.record.stage = stage.name
        ledger.begin(self.client, self.config, self.record)
        began = datetime.now(UTC)
        self.record.seconds[stage.name] = round(stages.execute(stage, self.lock), 1)
        self.record.bytes[stage.name] = ledger.bytes_read(self.config, began)

    def dimensions(self) -> None:
        """Raw events to Parquet."""
        self.execute(stages.dimensions(self.record.run, self.start, self.end, self.replay))

    def load(self) -> None:
        """Parquet to staging, unless staging holds it."""
        client = bigquery.Client(project=self.config.project, location=self.config.location)
        basis = staging.create(client, self.config)
        if staging.pending(self.client, self.config, basis, *self.bounds):
            self.execute(stages.load(self.record.run, self.start, self.end))
        else:
            print("load: nothing new, staging holds what the Parquet holds")

    def transform(self) -> None:
        """Staging to the candidate, and the proof that each holds the keys of the other."""
        work = candidate.work(self.client, self.config, *self.bounds, self.full)
        self.execute(stages.transform(work.changed, work.full, work.test_everything))
        self.counted = summary.collect(self.config, work.changed)
        self.counted.tables = summary.count_tables(self.config, published=False)
        if self.counted.problems:
            raise StageError("the rows do not add up:\n  " + "\n  ".join(self.counted.problems))
        rows = {name: each["candidate"] for name, each in self.counted.tables.items()}
        candidate.note_built(self.client, self.config, self.record.run, work, rows)
        self.record.hours = len(work.changed)

    def quality(self) -> None:
        """The gate."""
        self.execute(stages.quality())

    def publish(self) -> None:
        """The candidate to the warehouse."""
        self.execute(stages.publish())
        tables = summary.count_tables(self.config, published=True)
        if self.counted is None:
            self.counted = summary.Summary({}, {}, {name: {} for name in tables}, {})
        self.counted.tables = tables
        if self.counted.problems:
            raise StageError("the rows do not add up:\n  " + "\n  ".join(self.counted.problems))
        candidate.note_published(self.client, self.config, self.record.run)
        self.record.published = True

    def all(self) -> None:
        """Every stage that has something to do."""
        self.dimensions()
        self.load()
        work = candidate.work(self.client, self.config, *self.bounds)
        idle = not (any(self.bounds) or work.changed or work.full)
        if idle and candidate.is_published(self.client, self.config):
            last = candidate.published(self.client, self.config)["run"]
            print(f"transform, quality, publish: nothing new, the tables that run {last} published hold every event")
            return
        self.transform()
        self.quality()
        self.publish()


def run(
    config: Config,
    run_id: str,
    start: str = "",
    end: str = "",
    only: tuple[str, ...] = (),
    full: bool = False,
    replay: bool = False,
) -> int:
    """Run all stages, or some, and return the exit status: 0 only if all succeeded and the rows add up.

    `start` and `end` as 2026-01-03T00, or empty; `full` makes every row of the candidate anew; `replay` processes the
    hours again in which rows were set aside by another contract than the present one.

    Raises ConfigError, LockedError and Google's errors before anything was begun.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to clean up, as by Ctrl-C
    client = storage.Client(project=config.project)
    asked = [*only, start and f"from {start}", end and f"to {end}", "full" * full, "replay" * replay]
    record = ledger.Run(run_id, " ".join(filter(None, asked)))
    with lock.hold(client, config.bucket, run_id) as held:
        if held.taken_from:
            hours.remove_unnamed(client, config.bucket, held.taken_from)
            ledger.note_killed(client, config, held.taken_from)
        pipeline = Pipeline(config, held, record, start, end, full, replay)
        problem: str | None = None
        try:
            _stages(pipeline, only)
            record.status, record.stage = "succeeded", None
        except (StageError, GoogleAPIError) as error:
            record.status, record.message, problem = "failed", str(error), str(error)
        except BaseException as error:
            record.status, record.message = "failed", type(error).__name__
            raise
        finally:
            try:
                ledger.finish(client, config, record, pipeline.counted)
            except GoogleAPIError as error:
                problem = f"{problem or 'all stages succeeded'}\nthe ledger could not be written: {error}"
    _report(config, pipeline.counted, record)
    if problem:
        print(f"\npipeline: {problem}", file=sys.stderr)
        return 1
    return 0


def _stages(pipeline: Pipeline, only: tuple[str, ...]) -> None:
    for name in only:
        getattr(pipeline, name)()
    if not only:
        pipeline.all()


def _report(config: Config, counted: summary.Summary | None, record: ledger.Run) -> None:
    """Print what the run counted and where to look."""
    if counted is not None:
        print()
        summary.show(counted)
        BUILD.mkdir(exist_ok=True)
        (BUILD / "summary.json").write_text(summary.as_json(counted))
    if record.seconds:
        each = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in record.seconds.items())
        print(f"Time: {each}; {sum(record.seconds.values()):.0f} s in all")
    if record.status == "succeeded" and record.published:
        print(
            "The rows add up. Where to look next:\n"
            f"  the tables      dataset {config.warehouse}; "
            f"make query SQL='select * from {config.warehouse}.dim_customer limit 5'\n"
            f"  the checks      {BUILD}/quality/summary.md\n"
            f"  quarantine      make quarantine, gs://{config.bucket}/quarantine/\n"
            f"  the ledger      make query SQL='select * from {config.ops}.runs order by started_at desc'\n"
            f"  logs            {BUILD}/logs/"
        )
