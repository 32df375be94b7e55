"""A user's class works in every group as ours do: chosen, validated, saved, resumed and measured."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import run_here
from tests.reading import QUICK, history_of, summary_of, weights_are_equal

MODULE = "tests.config.custom"
CLASSES = {
    "data": "Stripes",
    "model": "OneLayer",
    "latent": "Latent",
    "prior": "ShiftedPrior",
    "likelihood": "Likelihood",
    "kl": "Power",
    "beta": "Staircase",
    "objective": "Squared",
    "optimizer": "Descent",
}
CHOSEN = [f"{group}={MODULE}.{name}" for group, name in CLASSES.items()]
OPTIONS = [
    "kl.alpha=1.5",
    "beta.length=2",
    "beta.value=0.5",
    "data.count=40",
    f"+callbacks.counter._target_={MODULE}.Counter",
    "trainer.batch_size=16",
    "audit=none",
    QUICK,
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("custom")
    directory = folder / "run"
    ended = run_here("train.py", *CHOSEN, *OPTIONS, "trainer.epochs=2", f"hydra.run.dir={directory}", cwd=folder)
    assert ended.status == 0, ended.stderr
    return directory


@pytest.mark.thorough
def test_a_run_is_built_from_the_classes(run: Path) -> None:
    model = keras.models.load_model(run / "model.keras")
    parts = (model.latent, model.prior, model.likelihood, model.kl, model.schedule, model.objective)
    names = [CLASSES[group] for group in ("latent", "prior", "likelihood", "kl", "beta", "objective")]
    assert [type(part).__name__ for part in parts] == names
    assert model.kl.alpha == 1.5
    assert model.encoder.input_shape == (None, 4, 4, 1)
    # 40 images in batches of 16 are 3 steps, which the schedule was told: it rises at step 6
    assert [float(model.schedule(step)) for step in (5, 6)] == [0.0, 1.0]
    assert summary_of(run)["kl"] == f"{MODULE}.Power"
    assert float(history_of(run)[-1]["train/beta"]) == 0.5


@pytest.mark.thorough
def test_it_resumes_and_is_measured_only_if_the_module_is_trusted(run: Path, tmp_path: Path) -> None:
    for script, option in (("train.py", "resume"), ("evaluate.py", "run")):
        refused = run_here(script, f"{option}={run}", cwd=tmp_path)
        assert refused.status == 2
        assert refused.stderr.count("\n") == 1
        assert f"{option}={run}" in refused.stderr
        assert "trust=tests" in refused.stderr
    assert not (run / "evaluation.json").exists()
    measured = run_here("evaluate.py", f"run={run}", "trust=tests", "nll_samples=2", cwd=tmp_path)
    assert measured.status == 0, measured.stderr
    assert (run / "evaluation.json").exists()

    whole = tmp_path / "whole"
    run_here("train.py", *CHOSEN, *OPTIONS, "trainer.epochs=3", f"hydra.run.dir={whole}", cwd=tmp_path)
    resumed = run_here("train.py", f"resume={run}", "trust=tests", "trainer.epochs=3", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    assert weights_are_equal(run / "model.keras", whole / "model.keras")


@pytest.mark.parametrize(
    ("overrides", "wrong", "right"),
    [
        ([f"kl={MODULE}.Power", "kl.alpha=-1"], "kl.alpha=-1", "greater than 0"),
        ([f"kl={MODULE}.Power", "kl.form=round"], "kl.form=round", "'cubic' or 'plain'"),
        ([f"kl={MODULE}.Power", "kl.direction=reverse"], "kl.direction", "no such option"),
        ([f"kl={MODULE}.Nothing"], f"{MODULE}.Nothing", "there is no class Nothing"),
        ([f"kl={MODULE}.OneLayer"], f"{MODULE}.OneLayer", "vae.kl.KLRegularizer"),
        ([f"model={MODULE}.Power"], f"{MODULE}.Power", "vae.networks.Networks"),
        ([f"latent={MODULE}.Latent", "latent.size=0"], "latent.size=0", "greater than 0"),
        ([f"data={MODULE}.Stripes", "data.count=many"], "data.count=many", "integer"),
        ([f"beta={MODULE}.Staircase", "beta.unit=hours"], "beta.unit=hours", "'epochs' or 'steps'"),
        ([f"objective={MODULE}.Squared", "objective.factor=0"], "objective.factor=0", "greater than 0"),
        (["optimizer.beta_3=1"], "optimizer.beta_3", "optimizer.beta_2"),
        (["+callbacks.mine.patience=1"], "callbacks.mine", "_target_"),
    ],
)
def test_its_options_are_checked_like_ours(overrides: list[str], wrong: str, right: str, tmp_path: Path) -> None:
    ended = run_here("train.py", *overrides, cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert wrong in ended.stderr
    assert right in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_options_of_ours_do_not_bind_a_user_s_class(tmp_path: Path) -> None:
    """In version 0.1.0, alpha=1 and form=cubic were refused because one of our classes refuses them."""
    directory = tmp_path / "run"
    ended = run_here(
        "train.py",
        f"kl._target_={MODULE}.Power",
        *("kl.alpha=1", "kl.form=cubic", "experiment=quick", "audit=none", f"hydra.run.dir={directory}"),
        cwd=tmp_path,
    )
    assert ended.status == 0, ended.stderr
    model = keras.models.load_model(directory / "model.keras")
    assert (model.kl.alpha, model.kl.form) == (1, "cubic")


@pytest.mark.thorough
def test_a_schedule_may_stand_in_place_of_a_learning_rate(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    schedule = "{_target_:vae.schedules.Linear,start:0.01,end:0.0,length:2,unit:epochs}"
    ended = run_here(
        "train.py",
        f"optimizer.learning_rate={schedule}",
        *("experiment=quick", "audit=none", f"hydra.run.dir={directory}"),
        cwd=tmp_path,
    )
    assert ended.status == 0, ended.stderr
    # Digits have 10 steps an epoch: after one epoch the rate is half of the first, after two it is 0
    rates = [float(row["train/learning_rate"]) for row in history_of(directory)]
    assert np.allclose(rates, [0.005, 0.0], atol=1e-9)


@pytest.mark.thorough
def test_a_chosen_user_class_can_be_swept(tmp_path: Path) -> None:
    ended = run_here(
        "train.py",
        *("-m", f"kl=analytic,{MODULE}.Power", "experiment=quick", "audit=none", f"hydra.sweep.dir={tmp_path / 's'}"),
        cwd=tmp_path,
    )
    assert ended.status == 0, ended.stderr
    names = {summary_of(path.parent)["kl"] for path in (tmp_path / "s").glob("*/summary.json")}
    assert names == {"analytic", f"{MODULE}.Power"}
