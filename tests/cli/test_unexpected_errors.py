"""An error that is not the user's mistake ends in one line; its traceback is in the run's directory."""

import re
from pathlib import Path

import pytest

from tests.conftest import run_here
from tests.reading import summary_of


@pytest.mark.parametrize("engine", ["compiled", pytest.param("keras", marks=pytest.mark.thorough)])
def test_a_wrong_shape_inside_a_step(engine: str, tmp_path: Path) -> None:
    options = ["experiment=quick", "audit=none", f"trainer.engine={engine}", "hydra.run.dir=run"]
    ended = run_here("train.py", "kl=tests.config.mistaken.OfTwoExamples", *options, cwd=tmp_path)
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "kl=tests.config.mistaken.OfTwoExamples" in ended.stderr
    path = tmp_path / re.search(r"traceback is in (\S+)", ended.stderr)[1]
    assert path == tmp_path / "run" / "traceback.txt"
    assert "Traceback (most recent call last)" in path.read_text()
    assert "mistaken.py" in path.read_text()
    assert summary_of(tmp_path / "run")["status"] == "failed"
