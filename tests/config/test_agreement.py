"""A likelihood that does not go with the data is refused in one line; one that takes levels gets those of the data."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.conftest import run_here, run_script
from tests.reading import QUICK, summary_of
from vae import VAE
from vae.cli import compose
from vae.config.build import build_data, build_model
from vae.config.stored import plain
from vae.config.validation import check_train
from vae.data import Binarization, DataSource, Split
from vae.errors import UserError
from vae.evaluation import measure_model
from vae.likelihoods import DiscretizedLogisticLikelihood


class Colors(DataSource):
    """Colour images of a gradient with a shifted phase, on `levels` levels.

    Args:
        levels: number of levels.
        binarization: "none", "threshold" or "dynamic".
        channels: number of channels.
    """

    def __init__(self, levels: int = 256, binarization: Binarization = "none", channels: int = 3) -> None:
        super().__init__(binarization)
        self.count = levels
        self.channels = channels

    def read_split(self, split: Split) -> NDArray[np.uint8]:
        phase = np.arange(64)[:, np.newaxis, np.newaxis, np.newaxis] / 10
        rows, columns, channels = np.meshgrid(np.arange(6), np.arange(5), np.arange(self.channels), indexing="ij")
        shade = 0.5 + 0.5 * np.sin(phase + (rows + 2 * columns + 3 * channels)[np.newaxis] / 3)
        return np.round(np.round(shade * (self.count - 1)) * 255 / (self.count - 1)).astype(np.uint8)


def model_of(*overrides: str) -> Any:
    config = compose("train", f"data={__name__}.Colors", "trainer.batch_size=32", *overrides)
    check_train(plain(config))
    return build_model(config, build_data(config))


@pytest.mark.parametrize(
    ("overrides", "wrong", "right"),
    [
        (
            [],
            "BernoulliLikelihood is for black and white pixels, and the images have 3 channels of 256 levels",
            "gauss",
        ),
        (["data.levels=5"], "3 channels of 5 levels", "likelihood=discretized_logistic"),
        (["data.binarization=threshold"], "3 channels of 256 levels", "data.shape=[6,5,1]"),
        (["likelihood=discretized_logistic", "likelihood.levels=17"], "values between 17", "choose 256"),
        (["likelihood=dequantized_gaussian", "likelihood.levels=6", "data.levels=5"], "values between 6", "choose 5"),
    ],
)
def test_what_does_not_go_together_is_named(overrides: list[str], wrong: str, right: str) -> None:
    with pytest.raises(UserError) as caught:
        model_of(*overrides)
    message = str(caught.value)
    assert wrong in message
    assert right in message
    assert "\n" not in message


def test_only_three_channels_are_said_to_become_one() -> None:
    with pytest.raises(UserError, match=r"4 channels of 256 levels; .*with data.binarization=none$"):
        model_of("data.channels=4")


@pytest.mark.parametrize("likelihood", ["discretized_logistic", "dequantized_gaussian"])
def test_levels_come_from_the_data(likelihood: str) -> None:
    assert model_of(f"likelihood={likelihood}", "data.levels=5").likelihood.levels == 5
    assert model_of(f"likelihood={likelihood}", "data.levels=5", "likelihood.levels=9").likelihood.levels == 9


def test_colours_that_are_stored_black_and_white_go_with_bernoulli() -> None:
    assert model_of("data.levels=2").decoder.output_shape == (None, 6, 5, 3)


def test_a_data_set_s_own_binarization_is_refused() -> None:
    """Check images whose kind no option gives away, so that only the data show it."""
    config = compose("train", f"data={__name__}.Colors", "trainer.batch_size=32", "likelihood=discretized_logistic")
    data = build_data(config)
    data.binarization = "threshold"
    with pytest.raises(UserError, match=r"threshold: .*DiscretizedLogisticLikelihood.*add data.binarization=none"):
        build_model(config, data)


def test_a_user_s_likelihood_of_levels_is_refused_by_its_base() -> None:
    config = plain(compose("train", f"likelihood={__name__}.Own", "data.binarization=dynamic"))
    with pytest.raises(UserError, match=r"data.binarization=dynamic: .*Own is for grey levels"):
        check_train(config)


class Own(DiscretizedLogisticLikelihood):
    """The discretized logistic under another name."""


@pytest.mark.thorough
def test_colour_images_train_and_are_measured_in_bits() -> None:
    """Before training the code is longer than that of uniform levels, afterwards shorter."""
    vae = model_of("data.levels=9", "likelihood=discretized_logistic", "model.hidden=[64]", "latent.size=3")
    images = (Colors(9).train / 255).astype(np.float32)
    before, after = (bits_per_dim_after(vae, images, epochs) for epochs in (0, 15))
    assert 0 < after < np.log2(9)
    assert before > np.log2(9)


def bits_per_dim_after(vae: VAE, images: NDArray[np.float32], epochs: int) -> float:
    vae.optimizer.learning_rate = 0.01
    if epochs:
        vae.fit(images, batch_size=32, epochs=epochs, verbose=0)
    measured = measure_model(vae, [tf.constant(images)], 50, seed=0)
    assert measured["nll_kind"] == "probability"
    return float(measured["bits_per_dim"])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "kind", "printed"),
    [
        (["likelihood=discretized_logistic"], "probability", "bits per dimension"),
        (["likelihood=dequantized_gaussian"], "probability", "bits per dimension"),
        (["likelihood=gaussian"], "density", "NLL of a density"),
        (["likelihood=bernoulli"], "cross_entropy", "cross-entropy bound, no NLL"),
    ],
)
def test_a_run_says_what_it_measures(options: list[str], kind: str, printed: str, tmp_path: Path) -> None:
    run = ["data.binarization=none", "trainer.epochs=3", "audit=none", QUICK, "hydra.run.dir=run"]
    ended = run_here("train.py", *options, *run, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert summary_of(tmp_path / "run")["elbo_kind"] == kind
    assert ("not one of log p(x)" in ended.stdout) == (kind == "cross_entropy")
    ended = run_here("evaluate.py", "run=run", "nll_samples=20", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert printed in ended.stdout
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert measured["nll_kind"] == kind
    if kind == "probability":
        assert f"{measured['bits_per_dim']:.4f}" in ended.stdout
        assert measured["bits_per_dim"] == pytest.approx(measured["nll"] / 64 / np.log(2))
    else:
        assert measured["bits_per_dim"] is None
        assert "bits per dimension" not in ended.stdout


class Cropped(Colors):
    """Images whose test split, which training does not read, has a row less."""

    def read_split(self, split: Split) -> NDArray[np.uint8]:
        images = super().read_split(split)
        return images[:, 1:] if split == "test" else images


@pytest.mark.thorough
def test_a_test_split_of_another_shape_is_refused(tmp_path: Path) -> None:
    options = [
        f"data={__name__}.Cropped",
        "likelihood=gaussian",
        "trainer.epochs=1",
        "trainer.batch_size=32",
        "audit=none",
    ]
    assert run_here("train.py", *options, "hydra.run.dir=run", cwd=tmp_path).status == 0
    ended = run_here("evaluate.py", "run=run", "nll_samples=2", "trust=tests", cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr == (
        "evaluate.py: data: the test split of Cropped has images of (5, 5, 3), and the model trains on "
        "images of (6, 5, 3); all must have the same shape\n"
    )
    assert not (tmp_path / "run" / "evaluation.json").exists()
    assert run_here("evaluate.py", "run=run", "nll_samples=2", "trust=tests", "split=train", cwd=tmp_path).status == 0


def test_this_project_s_own_callbacks_are_no_option() -> None:
    node = {"_target_": "vae.training.record.EpochRecorder", "record": None}
    with pytest.raises(UserError, match=r"callbacks.x._target_=vae.*: every run has this project's own callbacks"):
        check_train(plain(compose("train")) | {"callbacks": {"x": node}})


@pytest.mark.parametrize(
    ("options", "is_taken"),
    [
        ({"save_best_only": False}, True),
        ({"save_best_only": True}, False),
        ({"save_best_only": True, "mode": "max"}, True),
        ({"save_best_only": True, "monitor": "val_loss"}, True),
    ],
)
def test_only_a_callback_that_compares_needs_a_direction(options: dict[str, Any], is_taken: bool) -> None:
    saves = {"_target_": "keras.callbacks.ModelCheckpoint", "filepath": "x.keras", "monitor": "val_elbo"}
    config = plain(compose("train")) | {"callbacks": {"saves": {**saves, **options}}}
    if is_taken:
        check_train(config)
    else:
        with pytest.raises(UserError, match=r"callbacks.saves.monitor=val_elbo: .*add callbacks.saves.mode=max"):
            check_train(config)


def test_discrete_latent_variables_have_no_inference_gap(tmp_path: Path, no_tensorflow: str) -> None:
    """The refusal needs no TensorFlow."""
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    run = compose("train", "latent=categorical")
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(json.dumps(plain(run)))  # JSON is YAML
    ended = run_script("evaluate.py", "run=run", "gap_images=5", cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    for words in ("evaluate.py: gap_images", "CategoricalLatent", "is for latent=gaussian", "leave the option out"):
        assert words in ended.stderr
