"""Work that processes share: its results are those of one process, whichever of them fails."""

import json
import multiprocessing.context
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, inherited_environment
from tests.work import squares
from vae import processes


def shared(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.work", *map(str, arguments)],
        cwd=REPOSITORY,
        env=inherited_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results_of(*arguments: object) -> tuple[int, list[Any], str]:
    """The first process, the results, and what is said on stderr."""
    process = shared(*arguments)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    first, results = json.loads(stdout)
    return first, results, stderr


@pytest.mark.parametrize("count", [9, 50, 53])
def test_the_results_are_in_the_order_of_the_items(count: int) -> None:
    first, results, _ = results_of("squares", count)
    assert [square for square, _ in results] == [item**2 for item in range(count)]
    by = [process for _, process in results]
    assert len({*by}) == 3
    assert by.count(first) == count // 5


def test_too_few_items_are_left_to_one_process() -> None:
    first, results, _ = results_of("squares", 5)
    assert {process for _, process in results} == {first}
    _, results, _ = results_of("squares", 6)
    assert len({process for _, process in results}) == 2
    assert results_of("squares", 0)[1] == []


def test_a_process_of_several_threads_is_not_forked() -> None:
    assert len([*Path("/proc/self/task").iterdir()]) > 1  # TensorFlow is loaded
    assert {process for _, process in processes.begin(squares, range(50), 3)()} == {os.getpid()}


def test_each_warning_is_issued_once() -> None:
    _, results, stderr = results_of("warned", 50)
    assert results == [*range(50)]
    for item in range(0, 50, 10):
        assert stderr.count(f"UserWarning: {item} is round") == 1


def test_the_share_of_a_killed_process_is_done_by_the_first() -> None:
    first, results, _ = results_of("killed_elsewhere", 20)
    assert results == [[item**2, first] for item in range(20)]


def test_the_share_of_a_process_that_is_killed_while_it_sends_is_done_by_the_first() -> None:
    first, results, _ = results_of("killed_while_it_sends", 20)
    assert results == [[item**2, first] for item in range(20)]


def test_an_error_is_raised_in_the_first() -> None:
    process = shared("failing_at_seven", 20)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert stderr.endswith("KeyError: 'seven'\n")


def test_the_share_of_a_process_that_cannot_start_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.context.ForkProcess, "start", fails)
    monkeypatch.setattr(processes, "_has_one_thread", lambda: True)
    monkeypatch.setattr(processes, "available_cores", lambda: 3)
    assert processes.begin(squares, range(20), 3)() == [(item**2, os.getpid()) for item in range(20)]


def test_if_the_first_process_is_killed_the_others_end(tmp_path: Path) -> None:
    first = shared("until_alone", 1000, tmp_path)
    deadline = time.monotonic() + 60
    while len(others := [path.name for path in tmp_path.iterdir()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.kill()
    _, stderr = first.communicate()  # which ends when no process holds the pipe any more
    assert stderr == ""
    while any(Path("/proc", other).exists() for other in others):
        assert time.monotonic() < deadline
        time.sleep(0.01)
