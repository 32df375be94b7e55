"""A data set that has moved: a run of it resumes and is measured at the new place."""

from pathlib import Path

import pytest

from tests.conftest import run_here
from tests.reading import summary_of


@pytest.mark.thorough
def test_a_run_goes_on_at_the_new_place_of_its_data(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    options = ["experiment=quick", "audit=none", "trainer.epochs=1", "data.dir=before", "hydra.run.dir=run"]
    ended = run_here("train.py", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    (tmp_path / "before").rename(tmp_path / "after")

    resume = ["resume=run", "trainer.epochs=2"]
    for script, arguments in (("evaluate.py", ["run=run"]), ("train.py", resume)):
        missing = run_here(script, *arguments, cwd=tmp_path)
        assert missing.status == 2
        assert missing.stderr.count("\n") == 1, missing.stderr
        assert "data.dir=before" in missing.stderr

    refused = run_here("train.py", *resume, "data.dir=after", "data.invert=true", cwd=tmp_path)
    assert refused.status == 2
    assert "data.invert cannot change" in refused.stderr

    measured = run_here("evaluate.py", "run=run", "data.dir=after", "nll_samples=2", cwd=tmp_path)
    assert measured.status == 0, measured.stderr
    assert (tmp_path / "run" / "evaluation.json").exists()
    resumed = run_here("train.py", *resume, "data.dir=after", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    assert (summary_of(tmp_path / "run")["epochs"], summary_of(tmp_path / "run")["status"]) == (2, "finished")
