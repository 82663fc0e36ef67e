"""One run: the stages that have something to do, under the lock, with every row accounted for."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery, storage

from gcs_export_pipeline import hours, lock, staging
from gcs_export_pipeline.config import Config, RunError, parse_hour
from pipeline import candidate, ledger, published, stages, summary
from pipeline.stages import BUILD, Stage, StageError

STAGES = ("dimensions", "load", "transform", "quality", "publish")


class Pipeline:
    """A run under way over the ingest hours [start, end), or over what is new where both are empty."""

    def __init__(
        self,
        config: Config,
        held: lock.Lock,
        record: ledger.Run,
        start: str,
        end: str,
        full: bool,
        replay: bool,
        force: str,
    ) -> None:
        """Of the lock and the ledger's record; the rest as `run` takes it."""
        self.config, self.lock, self.record = config, held, record
        self.start, self.end, self.full, self.replay, self.force = start, end, full, replay, force
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
        candidate.forget_check(self.client, self.config)
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
        candidate.forget_check(self.client, self.config)
        self.execute(stages.quality())
        candidate.note_checked(self.client, self.config, self.record.run)

    def publish(self) -> None:
        """The candidate to the warehouse, if the gate passed it or a reason is given to do without."""
        if not (self.force or candidate.is_checked(self.client, self.config)):
            raise StageError(
                "publish: the gate has not passed the candidate as it is now: run `make quality`; or, if you know "
                "better, `make publish FORCE='your reason'`, which the ledger keeps"
            )
        published.keep(self.client, self.config)
        self.execute(stages.publish())
        tables = summary.count_tables(self.config, published=True)
        if self.counted is None:
            self.counted = summary.Summary({}, {}, {name: {} for name in tables}, {})
        self.counted.tables = tables
        if self.counted.problems:
            raise StageError("the rows do not add up:\n  " + "\n  ".join(self.counted.problems))
        published.note(self.client, self.config, self.record.run, candidate.now(self.client, self.config))
        self.record.published = True

    def rollback(self) -> None:
        """The tables that were published before the last ones, back to the warehouse."""
        self.record.stage = "rollback"
        run = published.roll_back(self.client, self.config)
        self.record.message = f"back to the tables of run {run}"
        print(f"rollback: analysts see the tables of run {run} again, until events or models have changed")

    def all(self) -> None:
        """Every stage that has something to do."""
        self.dimensions()
        self.load()
        work = candidate.work(self.client, self.config, *self.bounds)
        idle = not (any(self.bounds) or work.changed or work.full)
        if idle and published.holds(self.client, self.config, candidate.now(self.client, self.config)):
            last = published.last(self.client, self.config)["run"]
            print(f"transform, quality, publish: nothing new, analysts see what run {last} published")
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
    force: str = "",
) -> int:
    """Run all stages, or some, and return the exit status: 0 only if all succeeded and the rows add up.

    `start` and `end` as 2026-01-03T00, or empty; `full` makes every row of the candidate anew; `replay` processes the
    hours again in which rows were set aside by another contract than the present one; `force` is the reason to publish
    what the gate has not passed.

    Raises ConfigError, LockedError and Google's errors before anything was begun.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to be ended is to clean up, as by Ctrl-C
    client = storage.Client(project=config.project)
    asked = [*only, start and f"from {start}", end and f"to {end}", "full" * full, "replay" * replay]
    asked += [force and f"force: {force}"]
    record = ledger.Run(run_id, " ".join(filter(None, asked)))
    with lock.hold(client, config.bucket, run_id) as held:
        if held.taken_from:
            hours.remove_unnamed(client, config.bucket, held.taken_from)
            ledger.note_killed(client, config, held.taken_from)
        pipeline = Pipeline(config, held, record, start, end, full, replay, force)
        problem: str | None = None
        try:
            _stages(pipeline, only)
            record.status, record.stage = "succeeded", None
        except (StageError, RunError, GoogleAPIError) as error:
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
