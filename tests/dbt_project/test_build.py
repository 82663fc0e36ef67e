"""What dbt does with the models on a warehouse: the unit tests beside them, and the protection of personal columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner, dbtRunnerResult
from google.cloud import bigquery

from gcs_export_pipeline import declaration, staging
from gcs_export_pipeline.config import Config

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
POLICY_TAG = "projects/test-project/locations/us/taxonomies/1/policyTags/2"


def dbt(*arguments: str) -> dbtRunnerResult:
    options = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    result = dbtRunner().invoke(["--quiet", *arguments, *options])
    assert result.success, result
    return result


@pytest.fixture(scope="module")
def config(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """Every model, built on staging tables without a row, in datasets of their own."""
    folder = str(tmp_path_factory.mktemp("dbt"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("STAGING_DATASET", "empty_staging"), ("CANDIDATE_DATASET", "empty_candidate")):
            patch.setenv(name, value)
        patch.setenv("DBT_TARGET_PATH", folder)
        patch.setenv("DBT_LOG_PATH", folder)
        config = Config.from_environment()
        staging.create(bigquery.Client(project=config.project, location=config.location), config)
        dbt("run", "--empty")
        yield config


def test_the_unit_tests_of_the_models_pass(config: Config) -> None:
    properties = [yaml.safe_load(path.read_text()) for path in (PROJECT / "models/marts").rglob("*.yml")]
    written = [test["name"] for each in properties for test in each.get("unit_tests", [])]
    results = dbt("test", "--select", "test_type:unit").result
    assert isinstance(results, RunExecutionResult)
    assert sorted(each.node.name for each in results) == sorted(written) != []


def test_personal_columns_carry_the_policy_tag_and_no_other_does(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what dbt asks of BigQuery: the emulator knows no policy tags."""
    tagged: dict[str, set[str]] = {}
    update = bigquery.Client.update_table

    def recorded(client: bigquery.Client, table: bigquery.Table, *arguments: Any, **options: Any) -> bigquery.Table:
        fields = {field.name for field in table.schema if field.policy_tags and POLICY_TAG in field.policy_tags.names}
        tagged[table.table_id] = tagged.get(table.table_id, set()) | fields
        return update(client, table, *arguments, **options)

    monkeypatch.setattr(bigquery.Client, "update_table", recorded)
    monkeypatch.setenv("PERSONAL_POLICY_TAG", POLICY_TAG)
    dbt("run", "--empty", "--select", "marts")
    personal = {
        f"dim_{dimension.name}": {field.name for field in dimension.fields if field.personal}
        for dimension in declaration.dimensions().values()
    }
    assert {name: fields for name, fields in tagged.items() if fields} == {
        name: fields for name, fields in personal.items() if fields
    }
    assert set(personal) <= set(tagged)
