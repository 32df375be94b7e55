"""Many runs in one process leave nothing behind, and many epochs cost the same each."""

import json
from pathlib import Path

import pytest

from tests.conftest import run_script


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


@pytest.mark.thorough
def test_the_last_epochs_cost_what_the_first_did(tmp_path: Path) -> None:
    ended = run_script("benchmarks/load.py", "--runs", "0", "--epochs", "300", "--json", "load.json", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    cost = json.loads((tmp_path / "load.json").read_text())["epochs"]
    assert cost["undisturbed_last"] < 1.5 * cost["undisturbed_first"]
