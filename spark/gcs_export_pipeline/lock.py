"""One run at a time: a lock in the bucket, which its holder renews and which a run that finds it abandoned takes over.

The lock is one object; each change of it names the generation that it replaces, so that of two runs only one succeeds.
Whether a holder is alive is seen from renewals, by the watch of the one who waits: clocks of machines are not compared.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.cloud import storage

from gcs_export_pipeline.config import LockedError

NAME = "locks/pipeline.json"
#: A holder that has not renewed for as long is taken to be dead; it stops itself before.
LEASE_SECONDS = float(os.environ.get("LOCK_LEASE_SECONDS") or 60)
RENEWALS_A_LEASE = 6
#: Names the run whose lock a stage works under.
HELD_BY = "PIPELINE_LOCK"


class Lock:
    """A lock that is held; `lost` is set once it is not any more."""

    def __init__(self, blob: storage.Blob, run: str, taken_from: str | None) -> None:
        """Of the object `blob`, whose generation is ours; `taken_from` is the dead run that left it, if one did."""
        self.blob, self.run, self.taken_from = blob, run, taken_from
        self.lost = threading.Event()
        self._done = threading.Event()
        self._renewals = threading.Thread(target=self._renew, daemon=True)
        self._renewals.start()

    def _renew(self) -> None:
        """Replace the object again and again; sets `lost` where another run has it, or storage is silent for long."""
        renewed = time.monotonic()
        while not self._done.wait(LEASE_SECONDS / RENEWALS_A_LEASE):
            try:
                _write(self.blob, self.run, self.blob.generation)
                renewed = time.monotonic()
            except (NotFound, PreconditionFailed):
                return self.lost.set()
            except (GoogleAPIError, OSError):
                # Storage does not answer: go on as long as nobody can take this run for dead.
                if time.monotonic() - renewed > LEASE_SECONDS * 0.8:
                    return self.lost.set()

    def release(self) -> None:
        """Write into the object that nobody holds it, unless another run has taken it."""
        self._done.set()
        self._renewals.join()
        if not self.lost.is_set():
            with suppress(NotFound, PreconditionFailed):
                _write(self.blob, None, self.blob.generation)


def _write(blob: storage.Blob, run: str | None, generation: int) -> None:
    content = {"run": run, "host": socket.gethostname(), "pid": os.getpid(), "time": datetime.now(UTC).isoformat()}
    blob.upload_from_string(json.dumps(content), "application/json", if_generation_match=generation, timeout=10)


def _take(bucket: storage.Bucket, run: str, say: Callable[[str], None]) -> Lock:
    """The lock, free or left by a dead run; LockedError if its holder renews it while we watch."""
    began, seen = time.monotonic(), None
    while True:
        found = bucket.get_blob(NAME)
        generation = int(found.generation) if found else 0
        try:
            holder = json.loads(found.download_as_bytes()) if found else {"run": None}
        except NotFound:
            continue
        abandoned = generation == seen and time.monotonic() - began > LEASE_SECONDS
        if holder["run"] is None or abandoned:
            mine = bucket.blob(NAME)
            try:
                _write(mine, run, generation)
            except PreconditionFailed:  # another run was faster
                seen = None
                continue
            if abandoned:
                say(f"took over the lock of run {holder['run']}, which ended without releasing it")
            return Lock(mine, run, holder["run"])
        if seen is not None and generation != seen:
            raise LockedError(
                f"run {holder['run']} is at work (process {holder['pid']} on {holder['host']}): "
                "run again when it is through; what is new then is done then"
            )
        if seen is None:
            seen, began = generation, time.monotonic()
            say(f"run {holder['run']} holds the lock: watching for up to {LEASE_SECONDS:.0f} s whether it is alive")
        time.sleep(LEASE_SECONDS / RENEWALS_A_LEASE / 5)


@contextmanager
def hold(client: storage.Client, bucket: str, run: str, say: Callable[[str], None] = print) -> Iterator[Lock]:
    """Hold the bucket's lock for `run`; raises LockedError if another run holds it and is alive."""
    lock = _take(client.bucket(bucket), run, say)
    try:
        yield lock
    finally:
        lock.release()


def check(client: storage.Client, bucket: str, run: str) -> None:
    """LockedError unless `run` holds the lock: for a stage, whose run may have died or lost it meanwhile."""
    try:
        holder = json.loads(client.bucket(bucket).blob(NAME).download_as_bytes())["run"]
    except NotFound:
        holder = None
    if holder != run:
        raise LockedError(
            f"run {run} does not hold the lock any more, {holder or 'nobody'} does: nothing was changed, run again"
        )
