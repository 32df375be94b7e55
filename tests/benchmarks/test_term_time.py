"""The benchmark of a training step with each term: a run on one round."""

import json
from pathlib import Path

import pytest

from tests.conftest import run_script


@pytest.mark.thorough
def test_the_command(tmp_path: Path) -> None:
    options = ["--terms", "kl=tc", "kl=raw kl.form=softmax", "--rounds", "1", "--json", "times.json"]
    ended = run_script("benchmarks/term_time.py", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    figures = {found["term"]: found for found in json.loads((tmp_path / "times.json").read_text())["figures"]}
    assert [*figures] == ["kl=analytic", "control", "kl=tc", "kl=raw kl.form=softmax"]
    exact = figures["kl=analytic"]
    assert exact["ratio"] == 1.0
    for found in figures.values():
        assert found["ratio"] == pytest.approx(found["microseconds"] / exact["microseconds"])  # of one round
