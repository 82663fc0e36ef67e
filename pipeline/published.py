"""What analysts see: the tables of the last run that was published, and those of the one before, to go back to."""

from __future__ import annotations

import json

from google.api_core.exceptions import NotFound
from google.cloud import bigquery, storage

from gcs_export_pipeline.config import PREVIOUS, PUBLISHED, Config, RunError


def last(client: storage.Client, config: Config) -> dict[str, str]:
    """What was published last: `run`, `state` and `checks`; empty if nothing was.

    After a rollback `withdrawn` besides: the state of the candidate that was published before it, which is not to be
    published again.
    """
    return _read(client, config, PUBLISHED)


def holds(client: storage.Client, config: Config, now: dict[str, str]) -> bool:
    """Whether analysts see the candidate as it is `now`, or it was withdrawn as it is."""
    published = last(client, config)
    return published.get("withdrawn") == now["state"] or now.items() <= published.items()


def note(client: storage.Client, config: Config, run: str, now: dict[str, str]) -> None:
    """Record that the candidate, as it is `now`, was published."""
    _write(client, config, PUBLISHED, {"run": run} | now)


def keep(client: storage.Client, config: Config) -> None:
    """Keep the published tables as they are, by clones, as the state to go back to.

    A run that was ended while it published is repeated over tables of two states: then what was kept stays.
    """
    published = last(client, config)
    if not published or _read(client, config, PREVIOUS) == published:
        return
    _write(client, config, PREVIOUS, {})
    _clone(config, config.warehouse, config.previous)
    _write(client, config, PREVIOUS, published)


def roll_back(client: storage.Client, config: Config) -> str:
    """Put the tables back that were published before the last ones; returns the run that made them.

    Raises RunError if none were kept. To repeat it after it was ended half-way is safe.
    """
    previous, published = _read(client, config, PREVIOUS), last(client, config)
    if not previous or previous["run"] == published["run"]:
        raise RunError("there is nothing to roll back to: no other tables were published before these")
    _clone(config, config.previous, config.warehouse)
    withdrawn = {"withdrawn": published["state"]} if published["state"] != previous["state"] else {}
    _write(client, config, PUBLISHED, previous | withdrawn)
    return previous["run"]


def _clone(config: Config, source: str, target: str) -> None:
    """Replace each table of `target` by a clone of its namesake in `source`, each at once; views stay."""
    client = bigquery.Client(project=config.project, location=config.location)
    dataset = bigquery.Dataset(f"{config.project}.{target}")
    dataset.location = config.location
    client.create_dataset(dataset, exists_ok=True)
    for table in client.list_tables(f"{config.project}.{source}"):
        if table.table_type != "VIEW":
            name = table.table_id
            client.query_and_wait(
                f"create or replace table `{config.project}.{target}.{name}` clone `{config.project}.{source}.{name}`"
            )


def _read(client: storage.Client, config: Config, name: str) -> dict[str, str]:
    try:
        return json.loads(client.bucket(config.bucket).blob(name).download_as_bytes())
    except NotFound:
        return {}


def _write(client: storage.Client, config: Config, name: str, content: dict[str, str]) -> None:
    blob = client.bucket(config.bucket).blob(name)
    blob.upload_from_string(json.dumps(content, indent=1), "application/json")
