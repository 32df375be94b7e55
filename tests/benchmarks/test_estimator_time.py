"""The benchmark of a training step with each estimator: its ratios, and a run on few rounds."""

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_script


def test_times_are_compared_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that is slower for all leaves the ratio as it is: the median of 1.5, 1.5 and 2."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from estimator_time import ratio

    assert ratio([3.0, 30.0, 6.0], [2.0, 20.0, 3.0]) == 1.5
    assert ratio([3.0], None) is None


@pytest.mark.thorough
def test_the_command(tmp_path: Path) -> None:
    few = ["--estimators", "total", "stratified", "--samples", "1", "2", "--batches", "20", "--rounds", "1"]
    ended = run_script("benchmarks/estimator_time.py", *few, "--json", "times.json", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    figures = json.loads((tmp_path / "times.json").read_text())["figures"]
    ratios = {(found["estimator"], found["samples"]): found["ratio"] for found in figures}
    assert ratios.keys() == {("exact", None), ("total", 1), ("total", 2), ("stratified", 2)}
    assert ratios["exact", None] is None
    assert ratios["total", 2] == 1.0
    assert all(0 < found["least"] <= found["microseconds"] for found in figures)
