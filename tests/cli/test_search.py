"""A search over options by Optuna: what it is told is what the runs left, and a run that fails stops no other."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.conftest import Outcome, run_script
from tests.reading import summary_of

pytestmark = pytest.mark.thorough  # searches of several runs

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs the extra 'sweep': pip install '.[sweep]'")

QUICK = ["trainer.epochs=1", "trainer.engine=keras", "data.take=256", "audit=none", "hydra.sweep.dir=search"]


def search(*options: str, cwd: Path) -> tuple[Outcome, dict[str, Any]]:
    """The outcome of `train.py -m experiment=search`, and the file of Optuna's sweeper."""
    ended = run_script("train.py", "-m", "experiment=search", *QUICK, *options, cwd=cwd)
    return ended, OmegaConf.to_container(OmegaConf.load(cwd / "search" / "optimization_results.yaml"))


def overrides_of(run: Path) -> dict[str, str]:
    overrides = OmegaConf.load(run / ".hydra" / "overrides.yaml")
    return dict(override.split("=") for override in overrides)


def test_it_finds_the_best_run_and_names_those_that_failed(tmp_path: Path) -> None:
    ended, found = search("beta.value=choice(0.5,-1.0)", "hydra.sweeper.n_trials=4", cwd=tmp_path)
    runs = sorted(path.parent for path in (tmp_path / "search").glob("*/.hydra"))
    assert len(runs) == 4
    finished = [run for run in runs if summary_of(run)["status"] == "finished"]
    best = max(finished, key=lambda run: summary_of(run)["validation"]["elbo"])
    assert found["best_value"] == pytest.approx(summary_of(best)["validation"]["elbo"], rel=1e-12)
    assert {name: str(value) for name, value in found["best_params"].items()}.items() <= overrides_of(best).items()
    failed = [run for run in runs if run not in finished]
    assert failed
    assert all(overrides_of(run)["beta.value"] == "-1.0" for run in failed)
    named = [line for line in ended.stderr.splitlines() if line.startswith("train.py: search/")]
    assert sorted(line.split(": ")[1] for line in named) == [str(run.relative_to(tmp_path)) for run in failed]
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    assert (tmp_path / "search" / "comparison" / "report.html").is_file()


def test_two_figures_make_a_front(tmp_path: Path) -> None:
    options = ["metric=[reconstruction,kl]", "hydra.sweeper.n_trials=2"]
    ended, found = search(*options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    left = [json.loads(path.read_text())["validation"] for path in (tmp_path / "search").glob("*/summary.json")]
    assert len(left) == 2
    pairs = {(figures["reconstruction"], figures["kl"]) for figures in left}
    front = {tuple(solution["values"]) for solution in found["solutions"]}
    best = {pair for pair in pairs if not any(other[0] <= pair[0] and other[1] <= pair[1] for other in pairs - {pair})}
    assert front == best


def test_a_search_of_which_nothing_came(tmp_path: Path) -> None:
    options = ["-m", "experiment=search", *QUICK, "hydra.sweeper.n_trials=2"]
    ended = run_script("train.py", *options, "beta.value=choice(-1,-2)", cwd=tmp_path)
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    named = [line for line in ended.stderr.splitlines() if line.startswith("train.py: search/")]
    assert len(named) == 2
    assert all("should be greater than or equal to 0" in line for line in named)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "experiment=search", "metric=elbow"], "metric=elbow: "),
        (
            ["-m", "experiment=search", "trainer.strategy=multi_worker"],
            "trainer.strategy=multi_worker: is for a single",
        ),
        (["experiment=search"], "experiment=search: consists of several runs; add -m"),
        (["experiment=kl_study"], "experiment=kl_study: consists of several runs; add -m"),
    ],
)
def test_what_no_search_can_be_is_said_at_once(
    arguments: list[str], words: str, tmp_path: Path, no_tensorflow: str
) -> None:
    ended = run_script("train.py", *arguments, cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert ended.stderr.splitlines()[-1].startswith(f"train.py: {words}")
    assert not list(tmp_path.glob("runs/*/*/*"))


def test_a_search_begins_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "mine").write_text("")
    ended = run_script("train.py", "-m", "experiment=search", *QUICK, cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1
    assert "train.py: hydra.sweep.dir=search: is not empty" in ended.stderr
