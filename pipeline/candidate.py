"""How far the candidate dimensions and the published ones have come, and what is to be done about it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from google.cloud import storage

from gcs_export_pipeline import hours
from gcs_export_pipeline.config import CANDIDATE, CHECKED, LOADS, TRANSFORMS, Config, digest
from pipeline import published
from pipeline.stages import ROOT

#: What decides the rows of the dimensions; the other files of the dbt project decide how they are tested and described.
SQL_FILES = ("dbt_project.yml", "macros/*.sql", "models/**/*.sql")
CHECKED_FILES = ("dbt_project/**/*.yml", "dbt_project/**/*.sql", "dbt_project/**/*.md", "expectations/*.py")


def _digest_of(folder: Path, patterns: tuple[str, ...]) -> str:
    files = sorted(file for pattern in patterns for file in folder.glob(pattern) if file.is_file())
    return digest([[str(file.relative_to(folder)), hashlib.sha256(file.read_bytes()).hexdigest()] for file in files])


@dataclass(frozen=True)
class Work:
    """What a transform has to do."""

    #: What the candidate is built into, and by which SQL.
    basis: str
    #: The run of each hour whose rows changed.
    changed: hours.Runs
    #: Whether every row is to be made anew: the SQL of the models changed, or nothing was built so far.
    full: bool
    #: Whether tests or descriptions changed, so that what is there is to be tested again.
    test_everything: bool


def work(
    client: storage.Client, config: Config, start: datetime | None, end: datetime | None, full: bool = False
) -> Work:
    """The hours in [start, end) that staging holds, or, without bounds, those that the candidate does not hold."""
    basis = digest([config.project, config.candidate, _digest_of(ROOT / "dbt_project", SQL_FILES)])
    loaded = {day: entry.get("runs", "") for day, entry in hours.held(client, config.bucket, LOADS).items()}
    built = hours.held(client, config.bucket, TRANSFORMS)
    full = full or not built or any(entry.get("basis") != basis for entry in built.values())
    if full:
        changed = hours.read_held(client, config.bucket, LOADS, loaded)
    elif start is None and end is None:
        days = hours.pending_days(client, config.bucket, TRANSFORMS, basis, loaded)
        source = hours.read_held(client, config.bucket, LOADS, days)
        changed = hours.pending(client, config.bucket, TRANSFORMS, basis, source)
    else:
        changed = {
            hour: run
            for hour, run in hours.read_held(client, config.bucket, LOADS, loaded).items()
            if (start is None or start <= hour) and (end is None or hour < end)
        }
    return Work(basis, changed, full, published.last(client, config).get("checks") != checks())


def note_built(client: storage.Client, config: Config, run: str, work: Work, rows: dict[str, int]) -> None:
    """Record what the candidate holds since: these hours, newly, and so many rows of each dimension."""
    changed = [[str(start), str(end)] for start, end in hours.ranges(work.changed)]
    content = json.dumps({"run": run, "rows": rows, "changed": changed}, indent=1)
    client.bucket(config.bucket).blob(CANDIDATE).upload_from_string(content, "application/json")
    hours.note(client, config.bucket, TRANSFORMS, work.basis, work.changed)


def checks() -> str:
    """A name for everything by which the tables are tested, described and gated, as it is now."""
    return _digest_of(ROOT, CHECKED_FILES)


def state(client: storage.Client, config: Config) -> str:
    """A name for the rows that the candidate holds."""
    return digest([config.warehouse, hours.held(client, config.bucket, TRANSFORMS)])


def now(client: storage.Client, config: Config) -> dict[str, str]:
    """What the candidate holds and how it is checked, as two names."""
    return {"state": state(client, config), "checks": checks()}


def note_checked(client: storage.Client, config: Config, run: str) -> None:
    """Record that the gate passed the candidate as it is."""
    content = json.dumps({"run": run} | now(client, config), indent=1)
    client.bucket(config.bucket).blob(CHECKED).upload_from_string(content, "application/json")


def forget_check(client: storage.Client, config: Config) -> None:
    """Record that the candidate is about to change, so that what the gate said no longer holds."""
    client.bucket(config.bucket).blob(CHECKED).upload_from_string("{}", "application/json")


def is_checked(client: storage.Client, config: Config) -> bool:
    """Whether the gate passed the candidate as it is, by the checks as they are."""
    blob = client.bucket(config.bucket).get_blob(CHECKED)
    checked = json.loads(blob.download_as_bytes()) if blob else {}
    return {name: value for name, value in checked.items() if name != "run"} == now(client, config)
