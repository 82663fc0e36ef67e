"""The stages: what each runs, and how it is run so that a failed step never passes for a good one."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gcs_export_pipeline import hours
from gcs_export_pipeline.config import setting
from gcs_export_pipeline.lock import HELD_BY, Lock

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("BUILD_DIR", ROOT / "build"))
LOGS = BUILD / "logs"
DBT_CANDIDATE, DBT_PUBLISH = BUILD / "dbt", BUILD / "dbt_publish"
LOG_TAIL = 25


class StageError(RuntimeError):
    """A stage failed; the message says which, where its log is and what to do."""


@dataclass(frozen=True)
class Stage:
    """One step of a run: a command, the lines of its output worth showing, and what to do if it fails."""

    name: str
    does: str
    command: list[str]
    remedy: str
    shows: str = r"."
    environment: Mapping[str, str] = field(default_factory=dict)


def dimensions(run: str, start: str, end: str, replay: bool = False) -> Stage:
    """Spark over the ingest hours [start, end); over what is new, and to be replayed, where both are empty."""
    window = [f"--from={start}"] * bool(start) + [f"--to={end}"] * bool(end) + ["--replay"] * replay
    return Stage(
        "dimensions",
        "Spark: raw events to the Parquet of the dimensions",
        [sys.executable, "-m", "gcs_export_pipeline", f"--run={run}", *window],
        "the Parquet and the tables are as they were; mend what the message names and run again",
        shows=r"^(  |gcs_export_pipeline:)",
        environment={HELD_BY: run},
    )


def load(run: str, start: str, end: str) -> Stage:
    """Mage over the ingest hours [start, end); over what staging does not hold where both are empty."""
    variables = json.dumps({"run": run, "from_hour": start, "to_hour": end})
    mage = ROOT / ".venv" / "mage" / "bin" / "mage"
    return Stage(
        "load",
        "Mage: Parquet to BigQuery staging",
        [str(mage), "run", "mage", "bq_export_pipeline", "--test", "--runtime-vars", variables],
        "what was not loaded is as it was; `make load` repeats all loads without harm",
        shows=r"^(\w+: [\d,]+ rows of|staging holds|(\w+\.)*\w*Error\b)",
        environment={"MAGE_DATA_DIR": str(BUILD / "mage")},
    )


def transform(changed: Iterable[datetime], full: bool, test_everything: bool) -> Stage:
    """dbt over the changed hours, or over all of staging where `full`."""
    ranges = [[str(start), str(end)] for start, end in hours.ranges(changed)]
    variables = {} if full else {"changed_hours": ranges, "test_everything": test_everything}
    refresh = ["--full-refresh"] * full
    return Stage(
        "transform",
        f"dbt: staging to the candidate dimensions, tested{'; all of them anew' if full else ''}",
        # Unit tests try the code, not the data: `make test` runs them.
        _dbt("build", "--exclude-resource-type", "unit_test", "--vars", json.dumps(variables), *refresh),
        "the published tables are as they were; the log names the model or test, `make transform` repeats",
        shows=_DBT_LINES,
        environment={"DBT_TARGET_PATH": str(DBT_CANDIDATE), "DBT_LOG_PATH": str(LOGS / "dbt")},
    )


def quality() -> Stage:
    """The gate."""
    return Stage(
        "quality",
        "Great Expectations: the gate over the candidate",
        [sys.executable, "-m", "expectations", "--reports", str(BUILD / "quality")],
        f"the published tables are as they were; {BUILD}/quality/summary.md says why, `make quality` repeats",
        shows=r"^(  |expectations:)",
    )


def publish() -> Stage:
    """Clones of the candidate's tables, each at once, then the views, anew over the tables that are published."""
    tables = ["config.materialized:incremental", "config.materialized:table"]
    clone = _dbt("clone", "--select", *tables, "--state", str(DBT_CANDIDATE), "--full-refresh")
    views = _dbt("run", "--select", "path:models/marts,config.materialized:view")
    return Stage(
        "publish",
        "dbt: the checked candidate to the warehouse",
        ["bash", "-c", f"{shlex.join(clone)} && {shlex.join(views)}"],
        "a table is either the new one or the old one; `make publish` repeats",
        shows=_DBT_LINES,
        environment={
            "CANDIDATE_DATASET": setting("WAREHOUSE_DATASET"),
            "DBT_TARGET_PATH": str(DBT_PUBLISH),
            "DBT_LOG_PATH": str(LOGS / "dbt"),
        },
    )


_DBT_LINES = r"\b(ERROR|FAIL|WARN)\b|OK created sql (incr|table)|OK cloned|Error in|Done\."


def _dbt(command: str, *options: str) -> list[str]:
    project = str(ROOT / "dbt_project")
    dbt = [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", command]
    return [*dbt, "--project-dir", project, "--profiles-dir", project, *options]


def execute(stage: Stage, lock: Lock | None = None) -> float:
    """Run a stage, show the lines that matter as they come, and return its seconds.

    Its whole output is in build/logs/<stage>.log. Raises StageError if its exit status is not 0, or if `lock` is lost,
    which ends the stage at once: another run is at work then.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{stage.name}.log"
    print(f"{stage.name}: {stage.does}", flush=True)
    began, lines = time.monotonic(), []
    shown = re.compile(stage.shows)
    with log.open("w") as file:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(stage.environment),  # progress comes as it is made
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that it ends with all that it started
        )
        if lock is not None:
            threading.Thread(target=_end_when_lost, args=(process, lock), daemon=True).start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                lines.append(line.rstrip())
                if shown.search(line):
                    print(f"  {line.strip()[:200]}", flush=True)
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    if lock is not None and lock.lost.is_set():
        raise StageError(f"{stage.name} was ended: another run took the lock over, see it through and run again")
    if status != 0:
        tail = "\n".join(f"  | {line[:200]}" for line in lines[-LOG_TAIL:])
        raise StageError(
            f"{stage.name} failed (exit status {status}); the end of {log}:\n{tail}\n{stage.name}: {stage.remedy}"
        )
    return time.monotonic() - began


def _end_when_lost(process: subprocess.Popen[str], lock: Lock) -> None:
    while process.poll() is None:
        if lock.lost.wait(1):
            return _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
    except ProcessLookupError:
        return
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
