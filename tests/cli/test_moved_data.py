"""A data set that has moved: a run of it resumes and is measured at the new place."""

from pathlib import Path

import pytest

from tests.conftest import run_here
from tests.reading import summary_of


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A run of one epoch whose data set lay in `before` and now lies in `after`."""
    (tmp_path / "before").mkdir()
    options = ["experiment=quick", "audit=none", "trainer.epochs=1", "data.dir=before", "hydra.run.dir=run"]
    ended = run_here("train.py", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    (tmp_path / "before").rename(tmp_path / "after")
    return tmp_path


def test_without_a_word_the_missing_folder_is_named(moved: Path) -> None:
    for script, arguments in (("evaluate.py", ["run=run"]), ("train.py", ["resume=run", "trainer.epochs=2"])):
        ended = run_here(script, *arguments, cwd=moved)
        assert ended.status == 1
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert "data.dir=before" in ended.stderr


def test_the_new_place_is_an_option(moved: Path) -> None:
    measured = run_here("evaluate.py", "run=run", "data.dir=after", "nll_samples=2", cwd=moved)
    assert measured.status == 0, measured.stderr
    assert (moved / "run" / "evaluation.json").exists()
    resumed = run_here("train.py", "resume=run", "data.dir=after", "trainer.epochs=2", cwd=moved)
    assert resumed.status == 0, resumed.stderr
    assert (summary_of(moved / "run")["epochs"], summary_of(moved / "run")["status"]) == (2, "finished")


def test_other_options_stay_refused(moved: Path) -> None:
    refused = run_here("train.py", "resume=run", "data.dir=after", "data.invert=true", "trainer.epochs=2", cwd=moved)
    assert refused.status == 1
    assert "data.invert" in refused.stderr
    assert "data.dir," not in refused.stderr
