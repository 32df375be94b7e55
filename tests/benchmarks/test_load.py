"""Many runs in one process leave nothing behind, and of many epochs each does the same work."""

import json
import re
import sys
from pathlib import Path
from types import FrameType
from typing import ClassVar

import keras
import numpy as np
import pytest

from tests.conftest import run_here, run_script


@pytest.mark.thorough
def test_the_runs_of_a_sweep_leave_nothing_behind(tmp_path: Path) -> None:
    """Objects of Python tell of a leak after a few runs; a model that is kept adds hundreds a run."""
    ended = run_script("benchmarks/load.py", "--runs", "16", "--epochs", "0", "--json", "load.json", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    held = json.loads((tmp_path / "load.json").read_text())["sweep"]
    assert held["runs"] == 16
    assert held["files_per_run"] == pytest.approx(0.0, abs=1e-9)
    assert held["threads_per_run"] == pytest.approx(0.0, abs=1e-9)
    assert held["objects_per_run"] < 100
    assert held["mebibytes_per_run"] < 2.0  # which the allocator alone varies by


class Work(keras.callbacks.Callback):
    """Counts the work of each epoch: calls of functions in Python and C, and bytes that the process writes."""

    calls: ClassVar[list[int]] = []
    written: ClassVar[list[int]] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Begin to count."""
        self._made = 0
        sys.setprofile(self._count)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Append the numbers so far."""
        self.calls.append(self._made)
        self.written.append(int(re.findall("wchar: ([0-9]+)", Path("/proc/self/io").read_text())[0]))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Count no more."""
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self._made += event in ("call", "c_call")


@pytest.mark.thorough
def test_the_last_epochs_do_what_the_first_did(tmp_path: Path) -> None:
    """Calls and bytes are counted, because seconds would depend on what else the machine does."""
    epochs, few = 100, 10
    options = [f"trainer.epochs={epochs}", "data.take=256", "model.hidden=[16]", "latent.size=2"]
    work = f"+callbacks.work._target_={__name__}.Work"
    try:
        ended = run_here("train.py", *options, work, "hydra.run.dir=run", cwd=tmp_path)
    finally:
        sys.setprofile(None)
    assert ended.status == 0, ended.stderr
    for counted in (Work.calls, Work.written):
        of_each = np.diff(counted)
        assert len(of_each) == epochs - 1
        assert np.median(of_each[-few:]) == pytest.approx(np.median(of_each[:few]), rel=0.02)
