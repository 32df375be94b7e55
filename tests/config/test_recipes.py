"""The recipes of other projects: the weight that their losses give the KL, derived from their own formulas."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from omegaconf import DictConfig

from tests.conftest import REPOSITORY, run_here
from tests.reading import QUICK, history_of, summary_of
from vae.cli import compose
from vae.config.stored import plain
from vae.config.validation import check_train

CONFIGS = REPOSITORY / "configs"
RECIPES = sorted(path.stem for path in (CONFIGS / "experiment" / "recipe").glob("*.yaml"))

Array = NDArray[np.float64]
Loss = Callable[[Array, Array, Array, Array], Any]


def squared_error(x: Array, y: Array) -> Array:
    return (x - y) ** 2


def cross_entropy(x: Array, y: Array) -> Array:
    return -x * np.log(y) - (1 - x) * np.log1p(-y)


def kl(mu: Array, log_var: Array) -> Array:
    return -0.5 * (1 + log_var - mu**2 - np.exp(log_var))


#: Each project's loss as it is written there, of images (batch, pixels), their reconstructions, mu and log_var; and
#: whether its reconstruction is a squared error, of which -log p(x|z) is half.
LOSSES: dict[str, tuple[Loss, bool]] = {
    "keras_example": (
        lambda x, y, mu, log_var: (
            np.mean(np.sum(cross_entropy(x, y), axis=1)) + np.mean(np.sum(kl(mu, log_var), axis=1))
        ),
        False,
    ),
    "keras_subclassing_guide": (
        lambda x, y, mu, log_var: np.mean(squared_error(x, y)) + np.mean(kl(mu, log_var)),
        True,
    ),
    "old_keras_blog": (lambda x, y, mu, log_var: np.mean(cross_entropy(x, y)) + np.mean(kl(mu, log_var)), False),
    "deep_learning_with_python": (
        lambda x, y, mu, log_var: np.mean(cross_entropy(x, y)) - 5e-4 * np.mean(1 + log_var - mu**2 - np.exp(log_var)),
        False,
    ),
    "lightning_bolts": (lambda x, y, mu, log_var: np.mean(squared_error(x, y)) + 0.1 * np.mean(kl(mu, log_var)), True),
    "pytorch_vae": (
        lambda x, y, mu, log_var: np.mean(squared_error(x, y)) + 2.5e-4 * np.mean(np.sum(kl(mu, log_var), axis=1)),
        True,
    ),
}


def composed(recipe: str, *overrides: str) -> DictConfig:
    return compose("train", f"experiment=recipe/{recipe}", *overrides)


def effective_beta(recipe: str, pixels: int, latents: int) -> float:
    """Return the weight of a nat of KL relative to a nat of reconstruction, by differences of the loss."""
    loss, is_squared = LOSSES[recipe]
    generator = np.random.default_rng(0)
    x, y = generator.uniform(0.1, 0.9, (2, 3, pixels))
    mu, log_var = generator.normal(size=(2, 3, latents))
    other_y, other_mu = generator.uniform(0.1, 0.9, (3, pixels)), generator.normal(size=(3, latents))
    error = squared_error if is_squared else cross_entropy
    share = 0.5 if is_squared else 1.0

    def reconstruction(output: Array) -> float:
        return float(share * np.mean(np.sum(error(x, output), axis=1)))

    per_nat = (loss(x, other_y, mu, log_var) - loss(x, y, mu, log_var)) / (reconstruction(other_y) - reconstruction(y))
    grown = np.mean(np.sum(kl(other_mu, log_var) - kl(mu, log_var), axis=1))
    return float((loss(x, y, other_mu, log_var) - loss(x, y, mu, log_var)) / grown / per_nat)


def pixels_of(config: DictConfig) -> int:
    return int(np.prod(config.data.shape or ([32, 32, 3] if config.data.name == "cifar10" else [28, 28, 1])))


def test_every_recipe_has_its_formula() -> None:
    assert sorted(LOSSES) == RECIPES


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_weight_is_that_of_the_project_s_own_loss(recipe: str) -> None:
    config = composed(recipe)
    check_train(plain(config))
    expected = effective_beta(recipe, pixels_of(config), config.latent.size)
    assert config.beta.value == pytest.approx(expected, rel=1e-9)
    squared = LOSSES[recipe][1]
    assert config.likelihood._target_.endswith("GaussianLikelihood" if squared else "BernoulliLikelihood")


@pytest.mark.parametrize(
    ("recipe", "published"),
    [
        ("keras_example", 1.0),
        ("keras_subclassing_guide", 12.25),
        ("old_keras_blog", 784 / 2),
        ("deep_learning_with_python", 0.784 / 2),
        ("lightning_bolts", 0.6),
        ("pytorch_vae", 1.54),
    ],
)
def test_the_weight_is_the_published_one(recipe: str, published: float) -> None:
    assert composed(recipe).beta.value == pytest.approx(published, rel=3e-3)


def test_the_weight_follows_the_latent_variables() -> None:
    assert composed("old_keras_blog", "latent.size=16").beta.value == 49.0
    assert composed("old_keras_blog", "latent.size=16", "beta.value=3").beta.value == 3


@pytest.mark.thorough
@pytest.mark.parametrize("recipe", ["keras_subclassing_guide", "old_keras_blog", "deep_learning_with_python"])
def test_a_run_was_trained_with_that_weight(recipe: str, shared: Path, tmp_path: Path) -> None:
    """The effective beta of a real run, and the audit's gradient: at the encoder, beta times the exact one's length."""
    ended = run_here(
        "train.py",
        f"experiment=recipe/{recipe}",
        f"data.dir={shared / 'tfds'}",
        "data.take=512",
        "trainer.epochs=1",
        "hydra.run.dir=run",
        QUICK,
        cwd=tmp_path,
    )
    assert ended.status == 0, ended.stderr
    config = composed(recipe)
    expected = effective_beta(recipe, pixels_of(config), config.latent.size)
    summary = summary_of(tmp_path / "run")
    assert summary["effective_beta"] == pytest.approx(expected, rel=1e-5)
    assert float(history_of(tmp_path / "run")[0]["audit/gradient_length_ratio/trained"]) == pytest.approx(1.0, rel=1e-5)
