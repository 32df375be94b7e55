"""Work that processes share: its results are those of one process, whichever of them fails."""

import multiprocessing.context
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import pytest

from tests import work
from tests.conftest import REPOSITORY
from vae import processes


@pytest.fixture(autouse=True)
def _three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "available_cores", lambda: 3)


@pytest.mark.parametrize("count", [9, 50, 53])
def test_the_results_are_in_the_order_of_the_items(count: int) -> None:
    results = processes.begin(work.squares, range(count), 3)()
    assert [square for square, _ in results] == [item**2 for item in range(count)]
    by = [process for _, process in results]
    assert len({*by}) == 3
    assert by.count(os.getpid()) == count // 5


def test_too_few_items_are_left_to_this_process() -> None:
    assert {process for _, process in processes.begin(work.squares, range(9), 5)()} == {os.getpid()}
    assert len({process for _, process in processes.begin(work.squares, range(9), 4)()}) == 2
    assert processes.begin(work.squares, [], 5)() == []


def test_all_begin_before_the_results_are_asked_for(tmp_path: Path) -> None:
    results = processes.begin(partial(work.leaving_a_trace, tmp_path, os.getpid()), range(10), 3)
    deadline = time.monotonic() + 60
    while len([*tmp_path.iterdir()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert results() == [*range(10)]


def test_each_warning_is_issued_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert processes.begin(work.warned_squares, range(50), 3)() == [item**2 for item in range(50)]
    assert sorted(str(warning.message) for warning in caught) == [
        "0 is round",
        "10 is round",
        "20 is round",
        "30 is round",
        "40 is round",
    ]


def test_the_share_of_a_killed_process_is_done_here() -> None:
    results = processes.begin(partial(work.killed_elsewhere, os.getpid()), range(20), 3)
    assert results() == [item**2 for item in range(20)]


def test_an_error_is_raised_here() -> None:
    results = processes.begin(work.failing_at_seven, range(20), 3)
    with pytest.raises(KeyError, match="seven"):
        results()


def test_the_share_of_a_process_that_cannot_start_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.context.SpawnProcess, "start", fails)
    assert {process for _, process in processes.begin(work.squares, range(20), 3)()} == {os.getpid()}


def test_if_the_first_process_is_killed_the_others_end(tmp_path: Path) -> None:
    program = (
        "import os, pathlib\nfrom functools import partial\nfrom tests.work import until_alone\n"
        "from vae import processes\nprocesses.available_cores = lambda: 3\n"
        "if __name__ == '__main__':\n"
        f"    processes.begin(partial(until_alone, pathlib.Path({str(tmp_path)!r}), os.getpid()), range(1000), 3)()\n"
    )
    (tmp_path / "program.py").write_text(program)
    with (tmp_path / "stderr").open("w") as stderr:
        first = subprocess.Popen(
            [sys.executable, str(tmp_path / "program.py")],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stderr=stderr,
        )
        deadline = time.monotonic() + 60
        while len(others := [path.name for path in tmp_path.iterdir() if path.name.isdecimal()]) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
        first.wait()
        while any(Path("/proc", other).exists() for other in others):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert (tmp_path / "stderr").read_text() == ""
