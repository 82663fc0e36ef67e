"""The stages: what each runs, and how it is run so that a failed step never passes for a good one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gcs_export_pipeline.config import setting

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


def stages(run: str, start: str = "", end: str = "") -> list[Stage]:
    """The stages of one run over the ingest hours [start, end); over what is new where both are empty."""
    main, mage = Path(sys.executable).parent, ROOT / ".venv" / "mage" / "bin"
    window = [f"--from={start}"] * bool(start) + [f"--to={end}"] * bool(end)
    variables = json.dumps({"run": run, "from_hour": start, "to_hour": end})
    dbt = [str(main / "dbt"), "--no-use-colors"]
    where = ["--project-dir", str(ROOT / "dbt_project"), "--profiles-dir", str(ROOT / "dbt_project")]
    dbt_lines = r"\b(ERROR|FAIL|WARN)\b|OK created|OK cloned|Error in|Done\."
    return [
        Stage(
            "dimensions",
            "Spark: raw events to the Parquet of the dimensions",
            [sys.executable, "-m", "gcs_export_pipeline", f"--run={run}", *window],
            "the Parquet and the tables are as they were; mend what the message names and run again",
            shows=r"^(  |gcs_export_pipeline:)",
        ),
        Stage(
            "load",
            "Mage: Parquet to BigQuery staging",
            [str(mage / "mage"), "run", "mage", "bq_export_pipeline", "--test", "--runtime-vars", variables],
            "what was not loaded is as it was; `make load` repeats all loads without harm",
            shows=r"^(\w+: [\d,]+ rows in [1-9]|staging holds|\w*Error\b)",
            environment={"MAGE_DATA_DIR": str(BUILD / "mage")},
        ),
        Stage(
            "transform",
            "dbt: staging to the candidate dimensions, tested",
            [*dbt, "build", *where],
            "the published tables are as they were; the log names the model or test, `make transform` repeats",
            shows=dbt_lines,
            environment={"DBT_TARGET_PATH": str(DBT_CANDIDATE), "DBT_LOG_PATH": str(LOGS / "dbt")},
        ),
        Stage(
            "quality",
            "Great Expectations: the gate over the candidate",
            [sys.executable, "-m", "expectations", "--reports", str(BUILD / "quality")],
            f"the published tables are as they were; {BUILD}/quality/summary.md says why, `make quality` repeats",
            shows=r"^(  |expectations:)",
        ),
        Stage(
            "publish",
            "dbt: the checked candidate to the warehouse",
            [*dbt, "clone", *where, "--select", "path:models/marts", "--state", str(DBT_CANDIDATE), "--full-refresh"],
            "a table is either the new one or the old one; `make publish` repeats",
            shows=dbt_lines,
            environment={
                "CANDIDATE_DATASET": setting("WAREHOUSE_DATASET"),
                "DBT_TARGET_PATH": str(DBT_PUBLISH),
                "DBT_LOG_PATH": str(LOGS / "dbt"),
            },
        ),
    ]


def execute(stage: Stage) -> float:
    """Run a stage, show the lines that matter as they come, and return its seconds.

    Its whole output is in build/logs/<stage>.log. Raises StageError if its exit status is not 0.
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
            env=os.environ | dict(stage.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            lines.append(line.rstrip())
            if shown.search(line):
                print(f"  {line.strip()[:200]}", flush=True)
        status = process.wait()
    if status != 0:
        tail = "\n".join(f"  | {line[:200]}" for line in lines[-LOG_TAIL:])
        raise StageError(
            f"{stage.name} failed (exit status {status}); the end of {log}:\n{tail}\n{stage.name}: {stage.remedy}"
        )
    return time.monotonic() - began
