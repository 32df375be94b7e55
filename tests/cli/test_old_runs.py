"""Runs of version 0.1.0 resume and are measured."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY, run_here
from tests.reading import history_of, summary_of

OLD_RUNS = REPOSITORY / "tests" / "runs" / "of_0_1_0"
OTHERS = sorted(path.name for path in OLD_RUNS.iterdir() if path.name != "categorical")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["categorical", *(pytest.param(name, marks=pytest.mark.thorough) for name in OTHERS)])
def test_a_run_of_0_1_0_resumes_and_is_measured(name: str, tmp_path: Path) -> None:
    shutil.copytree(OLD_RUNS / name, tmp_path / "run")
    before = history_of(tmp_path / "run")
    resumed = run_here("train.py", "resume=run", "trainer.epochs=4", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    after = history_of(tmp_path / "run")
    assert len(after) == len(before) + 1 == 4
    for old, new in zip(before, after, strict=False):
        assert float(new["validation/elbo"]) == float(old["validation/elbo"])
    # It goes on from the old weights: three steps of Adam move none by much more than three times the rate of 0.001
    old_model, new_model = (
        keras.models.load_model(path / "model.keras") for path in (OLD_RUNS / name, tmp_path / "run")
    )
    pairs = zip(old_model.trainable_variables, new_model.trainable_variables, strict=True)
    moved = [np.abs(new.numpy() - old.numpy()).max() for old, new in pairs]
    assert 0 < max(moved) < 0.01
    assert int(new_model.batches_seen.numpy()) == int(old_model.batches_seen.numpy()) + 3 == 12
    assert summary_of(tmp_path / "run")["status"] == "finished"
    measured = run_here("evaluate.py", "run=run", "nll_samples=2", cwd=tmp_path)
    assert measured.status == 0, measured.stderr
