"""Many runs in one process leave nothing behind, and of many epochs each does the same work."""

import gc
import json
import re
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from hydra.experimental.callback import Callback

from tests.conftest import run_here, run_script
from vae import sharing
from vae.compat import _let_gradients_end_with_their_graphs


@pytest.mark.thorough
def test_the_runs_of_a_sweep_leave_nothing_behind(tmp_path: Path) -> None:
    """Objects of Python tell of a leak after a few runs; a model that is kept adds hundreds a run."""
    ended = run_script(
        "benchmarks/load.py", "--runs", "16", "--sizes", "0", "--epochs", "0", "--json", "load.json", cwd=tmp_path
    )
    assert ended.status == 0, ended.stderr
    held = json.loads((tmp_path / "load.json").read_text())["sweep"]
    assert held["runs"] == 16
    assert held["files_per_run"] == pytest.approx(0.0, abs=1e-9)
    assert held["threads_per_run"] == pytest.approx(0.0, abs=1e-9)
    assert held["objects_per_run"] < 100
    assert held["mebibytes_per_run"] < 2.0  # which the allocator alone varies by


class Objects(Callback):
    """Notes how many objects of Python there are after each run."""

    counts: ClassVar[list[int]] = []

    def on_job_end(self, **_: Any) -> None:
        """Append the number."""
        gc.collect()
        self.counts.append(len(gc.get_objects()))


@pytest.mark.thorough
def test_runs_whose_programs_are_their_own_leave_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects of one such run are 17,700. The programs are kept here for one kind of runs only.

    Draws keep theirs for the last sixteen shapes, which is more than these runs have.
    """
    monkeypatch.setattr(sharing, "LIMIT", 1)
    monkeypatch.setattr(sharing, "_kept", OrderedDict())
    _let_gradients_end_with_their_graphs()
    options = ["latent.size=2,3,4", "trainer.epochs=1", "data.take=256", "model.hidden=[16]"]
    options += ["audit=none", "hydra.callbacks.preflight.compares=false", "hydra.sweep.dir=sweep"]
    watch = f"+hydra.callbacks.objects._target_={__name__}.Objects"
    ended = run_here("train.py", "-m", *options, watch, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert len(Objects.counts) == 3
    assert Objects.counts[2] - Objects.counts[1] < 5_000


class Counter:
    """Counts the calls of functions in Python and C."""

    def __init__(self) -> None:
        self.made = 0
        sys.setprofile(self._count)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self.made += event in ("call", "c_call")


@pytest.fixture
def _counts_no_more() -> Iterator[None]:
    yield
    sys.setprofile(None)


class Calls(Callback):
    """Counts the calls during each run."""

    counts: ClassVar[list[int]] = []

    def on_job_start(self, **_: Any) -> None:
        """Begin to count."""
        gc.collect()  # what it ends by calls is of the runs before
        self._calls = Counter()

    def on_job_end(self, **_: Any) -> None:
        """Append the number."""
        sys.setprofile(None)
        self.counts.append(self._calls.made)


@pytest.mark.thorough
@pytest.mark.usefixtures("_counts_no_more")
def test_the_last_runs_of_a_sweep_do_what_the_first_did(tmp_path: Path) -> None:
    """The first two runs are left out: they import modules and compile programs, which the others share.

    They made 1,306,400 to 1,306,420 calls each. More by 30 with every run would fail this.
    """
    options = ["seed=range(8)", "trainer.epochs=1", "data.take=256", "model.hidden=[16]", "latent.size=2"]
    options += ["audit=none", "hydra.callbacks.preflight.compares=false", "hydra.sweep.dir=sweep"]
    ended = run_here("train.py", "-m", *options, f"+hydra.callbacks.x._target_={__name__}.Calls", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert len(Calls.counts) == 8
    assert Calls.counts[-1] == pytest.approx(Calls.counts[2], rel=0.0001)


class Work(keras.callbacks.Callback):
    """Counts the work of each epoch: calls, and bytes that the process writes."""

    calls: ClassVar[list[int]] = []
    written: ClassVar[list[int]] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Begin to count."""
        self._calls = Counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Append the numbers so far."""
        self.calls.append(self._calls.made)
        self.written.append(int(re.findall("wchar: ([0-9]+)", Path("/proc/self/io").read_text())[0]))


@pytest.mark.thorough
@pytest.mark.usefixtures("_counts_no_more")
def test_the_last_epochs_do_what_the_first_did(tmp_path: Path) -> None:
    """Calls and bytes are counted, because seconds would depend on what else the machine does."""
    epochs, few = 100, 10
    options = [f"trainer.epochs={epochs}", "data.take=256", "model.hidden=[16]", "latent.size=2"]
    work = f"+callbacks.work._target_={__name__}.Work"
    ended = run_here("train.py", *options, work, "hydra.run.dir=run", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    for counted in (Work.calls, Work.written):
        of_each = np.diff(counted)
        assert len(of_each) == epochs - 1
        assert np.median(of_each[-few:]) == pytest.approx(np.median(of_each[:few]), rel=0.02)
