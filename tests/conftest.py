"""What the tests share: one local platform on free ports in a folder of its own, and one Spark session."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
EMULATORS = ROOT / ".venv" / "emulators" / "bin" / "python"


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on; all are held until the last is known, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def local_platform(state: Path) -> Iterator[dict[str, str]]:
    """The local platform on free ports, with its data in `state`; its settings are in the environment and returned."""
    token, storage, bigquery = free_ports(3)
    settings = {
        "GOOGLE_CLOUD_PROJECT": "test-project",
        "GCS_BUCKET": "test-events",
        "BIGQUERY_LOCATION": "US",
        "STAGING_DATASET": "staging",
        "CANDIDATE_DATASET": "warehouse_candidate",
        "WAREHOUSE_DATASET": "warehouse",
        "PREVIOUS_DATASET": "warehouse_previous",
        "OPS_DATASET": "ops",
        "DBT_TARGET": "local",
        "BUILD_DIR": str(state / "build"),
        "LOCAL_STATE_DIR": str(state / "state"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(state / "state" / "credentials.json"),
        "SPARK_CONF_DIR": str(state / "state" / "spark"),
        "TOKEN_EMULATOR_HOST": f"http://127.0.0.1:{token}",
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{storage}",
        "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{bigquery}",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "spark")]),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "GX_ANALYTICS_ENABLED": "False",
    }
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        subprocess.run([EMULATORS, "-m", "emulators", "up"], cwd=ROOT, check=True)
        yield settings
    finally:
        subprocess.run([EMULATORS, "-m", "emulators", "down"], cwd=ROOT, check=True)
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The local platform, started for this test run."""
    with local_platform(tmp_path_factory.mktemp("platform")) as settings:
        yield settings


@pytest.fixture(scope="session")
def spark(platform: dict[str, str]) -> Iterator[Any]:
    """The Spark session of the pipeline, one for the whole run."""
    from gcs_export_pipeline.pipeline import session

    running = session()
    running.conf.set("spark.sql.shuffle.partitions", 2)
    yield running
    running.stop()


@pytest.fixture
def bucket(platform: dict[str, str]) -> Any:
    """An empty bucket, named by GCS_BUCKET as long as the test runs."""
    from google.cloud import storage

    client = storage.Client(project=platform["GOOGLE_CLOUD_PROJECT"])
    (port,) = free_ports(1)
    return client.create_bucket(f"test-events-{port}")


@pytest.fixture(scope="session")
def run_module(platform: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m module args` as a user would, and hand back what it printed and its exit status."""

    def run(module: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *args]
        return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)

    return run
