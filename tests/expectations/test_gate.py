"""The gate against warehouses that it must not trust."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.conftest import EMULATORS, free_ports

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_a_warehouse_that_swallows_errors_is_refused(platform: dict[str, str], run_module: Run, tmp_path: Path) -> None:
    """Stock bqemulator, without the launcher's corrections, answers broken SQL with no rows."""
    (port,) = free_ports(1)
    stock = subprocess.Popen(
        [EMULATORS, "-c", "from bqemulator.cli import main; main()", "start", f"--rest-port={port}", "--grpc-port=0"],
        env=os.environ | {"HOME": f"{platform['LOCAL_STATE_DIR']}/home", "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=2).read()
                break
            except OSError:
                time.sleep(0.1)
        gate = run_module("expectations", "--reports", str(tmp_path), BIGQUERY_EMULATOR_HOST=url)
    finally:
        stock.terminate()
        stock.wait()
    assert gate.returncode == 2
    assert "answered broken SQL without an error" in gate.stderr


def test_a_warehouse_that_does_not_answer_is_no_pass(platform: dict[str, str], run_module: Run, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    gate = run_module("expectations", "--reports", str(tmp_path), BIGQUERY_EMULATOR_HOST=f"http://127.0.0.1:{port}")
    assert gate.returncode == 2
    assert "the warehouse does not answer" in gate.stderr
    assert "make up" in gate.stderr
