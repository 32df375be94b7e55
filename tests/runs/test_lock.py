"""The lock of a directory: one process holds it, and it ends with that process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import REPOSITORY
from vae.runs import Status, lock, read_summary
from vae.runs.files import write_json
from vae.runs.lock import LockedError, is_locked, locked

HOLD = """
import sys, time
from vae.runs.lock import locked
with locked(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a directory until it reads a line."""
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_process_refuses_what_another_one_holds(tmp_path: Path) -> None:
    with another_process(tmp_path) as process:
        assert is_locked(tmp_path)
        with pytest.raises(LockedError) as error, locked(tmp_path):
            pass
        assert str(error.value).startswith(f"{tmp_path}: process {process.pid} on {os.uname().nodename} writes to it; ")
        assert is_locked(tmp_path), "the one who is refused takes nothing away"
        process.communicate("\n")
    assert not list(tmp_path.iterdir())
    with locked(tmp_path):
        assert is_locked(tmp_path)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {"status": "running", "epochs": 3})
    with another_process(tmp_path) as process:
        assert read_summary(tmp_path) == {"status": Status.RUNNING, "epochs": 3}
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert read_summary(tmp_path) == {"status": Status.INTERRUPTED, "epochs": 3, "error": "its process died"}
    with locked(tmp_path):
        assert read_summary(tmp_path)["status"] == Status.RUNNING


def test_a_process_may_lock_a_directory_again(tmp_path: Path) -> None:
    with locked(tmp_path):
        with locked(f"{tmp_path}/."):
            pass
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_a_lock_that_its_holder_has_just_deleted_is_not_taken_for_one(tmp_path: Path) -> None:
    """Between another process's opening of the file and its lock on it, the holder ends."""
    flock, files = lock.fcntl.flock, []

    def delete_first(file: object, operation: int) -> None:
        if not files:
            (tmp_path / lock.NAME).unlink()
        files.append(file)
        flock(file, operation)  # type: ignore[arg-type]

    with mock.patch.object(lock.fcntl, "flock", delete_first), locked(tmp_path):
        assert len(files) == 2
    with locked(tmp_path), another_process_is_refused(tmp_path):
        pass


@contextmanager
def another_process_is_refused(directory: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLD, str(directory)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, input="\n", check=False)
    assert f"LockedError: {directory}: process {os.getpid()} on " in ended.stderr
    yield


def test_a_file_system_without_locks_is_used_with_a_warning(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {"status": "running"})
    with mock.patch.object(lock.fcntl, "flock", side_effect=OSError(37, "No locks available")):
        with pytest.warns(UserWarning, match=r"cannot be locked \(No locks available\)"), locked(tmp_path):
            assert read_summary(tmp_path)["status"] == Status.RUNNING
        assert not list(tmp_path.glob(lock.NAME))
