"""Where things are: the settings of the environment and the layout of the bucket.

Plain Python without Spark; every part of the project takes its settings from here.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

HOUR_FORMAT = "%Y%m%dT%H"
RAW, TRANSFORMED, QUARANTINE = "raw_streaming", "transformed_data", "quarantine"
HOURS, LOADS, RUNS = "hours", "loads", "runs"


class ConfigError(ValueError):
    """A setting is missing or wrong; the message names it and the remedy."""


#: What a command reports in a line, without a traceback: the message says what to change outside the code.
REPORTED = (ConfigError, GoogleAPIError, GoogleAuthError)


def setting(name: str) -> str:
    """The environment variable `name`; ConfigError if it is not set."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise ConfigError(f"{name} is not set: run through make, or export the lines of local.env or of your gcp.env")
    return value


@dataclass(frozen=True)
class Config:
    """Project, bucket and datasets of one deployment."""

    project: str
    bucket: str
    location: str
    staging: str
    candidate: str
    warehouse: str

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
