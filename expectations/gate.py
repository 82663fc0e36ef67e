"""Run the suites against the candidate dataset and say what they found."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import great_expectations as gx
import sqlalchemy as sa
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.cloud import bigquery, storage
from great_expectations.core.expectation_validation_result import ExpectationValidationResult

from expectations.suites import Built, suites
from gcs_export_pipeline.config import CANDIDATE, Config

SAMPLE_ROWS = 3


class GateError(RuntimeError):
    """The gate could not check; that is no pass."""


@dataclass(frozen=True)
class Finding:
    """What one expectation found: passed, failed, or error where it could not be evaluated."""

    table: str
    expectation: str
    severity: str
    status: str
    detail: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it keeps the candidate from being published."""
        return self.status == "error" or (self.status == "failed" and self.severity == "critical")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"blocks": self.blocks}


def warehouse_url(config: Config) -> str:
    """The SQLAlchemy address of the candidate dataset."""
    return f"bigquery://{config.project}/{config.candidate}?location={config.location}"


def preflight(config: Config) -> None:
    """Prove that the warehouse answers and that broken SQL raises.

    A gate that takes an error for an empty result would pass everything. Raises GateError with the remedy.
    """
    try:
        client = bigquery.Client(project=config.project, location=config.location)
        client.query("select 1", retry=None, job_retry=None, timeout=15).result(timeout=15, retry=None)
    except Exception as error:
        raise GateError(f"the warehouse does not answer: {_first_line(error)}; locally, `make up` starts it") from error
    with sa.create_engine(warehouse_url(config)).connect() as connection:
        try:
            connection.execute(sa.text("select no_such_column from (select 1 as a)")).fetchall()
        except (sa.exc.DatabaseError, GoogleAPIError):
            return
    raise GateError("the warehouse answered broken SQL without an error: no result of it can be trusted")


def built(config: Config) -> Built:
    """What the run says of the candidate that built it, and what is published; GateError if no run built it."""
    blob = storage.Client(project=config.project).bucket(config.bucket).blob(CANDIDATE)
    try:
        content = json.loads(blob.download_as_bytes())
    except NotFound:
        raise GateError(f"gs://{config.bucket}/{CANDIDATE} is not there: `make transform` writes it") from None
    client = bigquery.Client(project=config.project, location=config.location)
    published = {}
    for name in content["rows"]:
        with suppress(NotFound):  # before anything was published
            published[name] = client.get_table(f"{config.project}.{config.warehouse}.dim_{name}").num_rows
    return Built(content["rows"], content.get("changed", []), published)


def run(config: Config, tables: Collection[str] = ()) -> list[Finding]:
    """Evaluate every expectation, or those of some tables; raises GateError if any went missing on the way."""
    # One and the same line a query about a parameter that is not used; other warnings stay.
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_bigquery("warehouse", connection_string=warehouse_url(config))
    promised = {name: each for name, each in suites(config, built(config)).items() if not tables or name in tables}
    findings: list[Finding] = []
    for table, expectations in promised.items():
        batch = source.add_table_asset(table, table_name=table).add_batch_definition_whole_table("all")
        suite = context.suites.add(gx.ExpectationSuite(name=table, expectations=expectations))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
        findings += _findings(table, definition.run(result_format="SUMMARY").results)
    if len(findings) != sum(map(len, promised.values())):
        raise GateError(f"{sum(map(len, promised.values()))} expectations gave {len(findings)} results")
    return findings


def _findings(table: str, results: list[ExpectationValidationResult]) -> Iterator[Finding]:
    for result in results:
        config = result.expectation_config
        columns = [str(config.kwargs[name]) for name in ("column", "column_list") if config.kwargs.get(name)]
        severity = str(getattr(config.severity, "value", config.severity))
        said = (
            config.description
            or f"{config.type.removeprefix('expect_').replace('_', ' ')}: {', '.join(columns)}".rstrip(": ")
        )
        if errors := _errors(result):
            yield Finding(table, said, severity, "error", "; ".join(errors))
        elif bool(result.success):  # may be numpy's
            yield Finding(table, said, severity, "passed")
        else:
            yield Finding(table, said, severity, "failed", _detail(result.result or {}))


def _errors(result: ExpectationValidationResult) -> list[str]:
    """Messages of exceptions, which GX turns into a result that merely did not succeed."""
    info = result.exception_info or {}
    entries = [info] if "raised_exception" in info else list(info.values())
    return [_first_line(each["exception_message"]) for each in entries if each.get("raised_exception")]


def _detail(result: dict[str, Any]) -> str:
    rows = (result.get("details") or {}).get("unexpected_rows") or result.get("partial_unexpected_list")
    if rows:
        count = result.get("unexpected_count") or result.get("observed_value") or len(rows)
        return f"{count} unexpected, for example {list(rows)[:SAMPLE_ROWS]}"
    return f"observed {result.get('observed_value')}"


def _first_line(message: object) -> str:
    return next(iter(str(message).strip().splitlines()), type(message).__name__)[:300]
