"""Where things are: the settings of the environment and the layout of the bucket.

Plain Python without Spark; every part of the project takes its settings from here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

HOUR_FORMAT = "%Y%m%dT%H"
RAW, TRANSFORMED, QUARANTINE = "raw_streaming", "transformed_data", "quarantine"
HOURS, LOADS, TRANSFORMS, RUNS = "hours", "loads", "transforms", "runs"
#: The rows of the candidate as they were counted when it was built, and what was published last.
CANDIDATE, CHECKED = f"{RUNS}/candidate.json", f"{RUNS}/checked.json"
PUBLISHED, PREVIOUS = f"{RUNS}/published.json", f"{RUNS}/previous.json"
#: How the names of raw objects begin that hold corrected events: what they say of a position replaces what it said.
CORRECTED = "corrected-"


class ConfigError(ValueError):
    """A setting is missing or wrong; the message names it and the remedy."""


class RunError(RuntimeError):
    """A run cannot go on; the message says what is wrong and what to do."""


class LockedError(RuntimeError):
    """Another run is at work; the message names it and what to do."""


#: What a command reports in a line, without a traceback: the message says what to change outside the code.
REPORTED = (ConfigError, RunError, LockedError, GoogleAPIError, GoogleAuthError)


def setting(name: str) -> str:
    """The environment variable `name`; ConfigError if it is not set."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set: run through make, or export the lines of local.env or of your gcp.env")
    return value


def digest(content: Any) -> str:
    """A short name for JSON content: equal content has equal names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Config:
    """Project, bucket and datasets of one deployment."""

    project: str
    bucket: str
    location: str
    staging: str
    candidate: str
    warehouse: str
    previous: str
    ops: str

    @classmethod
    def from_environment(cls) -> Config:
        """Read every setting; ConfigError names the first that is missing."""
        return cls(
            project=setting("GOOGLE_CLOUD_PROJECT"),
            bucket=setting("GCS_BUCKET"),
            location=setting("BIGQUERY_LOCATION"),
            staging=setting("STAGING_DATASET"),
            candidate=setting("CANDIDATE_DATASET"),
            warehouse=setting("WAREHOUSE_DATASET"),
            previous=setting("PREVIOUS_DATASET"),
            ops=setting("OPS_DATASET"),
        )


def parse_hour(text: str) -> datetime:
    """The hour that `20260103T00` or `2026-01-03T00` names, in UTC; ConfigError for anything else."""
    compact = text.replace("-", "")
    if not re.fullmatch(r"\d{8}T\d{2}", compact):
        raise ConfigError(f"{text!r} is not an hour: write it as 2026-01-03T00")
    try:
        return datetime.strptime(compact, HOUR_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"{text!r} is not an hour of the calendar: write it as 2026-01-03T00") from None


def hour_name(hour: datetime) -> str:
    """The name of an hour in paths: 20260103T00."""
    return hour.strftime(HOUR_FORMAT)


def new_run_id() -> str:
    """A name for a run that sorts by its start and collides with no other: 20260103T104502-1f2e3d."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
