"""The six recipes as their own frameworks write them: the effective beta is that of configs/experiment/recipe/."""

import math
from typing import Any

import pytest

from tests.config.test_recipes import RECIPES, composed, pixels_of
from tests.weigh.weighing import weighed

#: The file of each recipe's loss, the shape of its images, and what its parameters' names do not tell.
WRITTEN: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "keras_example": ("keras_losses.py", (28, 28, 1), {}),
    "keras_subclassing_guide": ("keras_losses.py", (784,), {}),
    "old_keras_blog": ("keras_losses.py", (784,), {"parameters": {"log_var": "z_log_sigma"}}),
    "deep_learning_with_python": ("keras_losses.py", (28, 28, 1), {}),
    "lightning_bolts": ("torch_losses.py", (3, 32, 32), {}),
    "pytorch_vae": ("torch_losses.py", (3, 64, 64), {}),
}


def test_every_recipe_is_written() -> None:
    assert sorted(WRITTEN) == RECIPES


@pytest.mark.thorough
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_effective_beta_is_that_of_the_configuration(recipe: str) -> None:
    file, shape, options = WRITTEN[recipe]
    if file == "torch_losses.py":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    config = composed(recipe)
    report = weighed(f"{file}:{recipe}", shape=shape, latents=(config.latent.size,), **options)
    assert report.effective_beta == pytest.approx(config.beta.value, rel=1e-6)
    assert report.reconstruction is not None
    assert report.reconstruction.likelihood is not None
    is_gaussian = config.likelihood._target_.endswith("GaussianLikelihood")
    assert report.reconstruction.likelihood.scale == ("sigma" if is_gaussian else "")
    assert report.sizes.shape == shape
    assert pixels_of(config) == math.prod(shape)


def test_the_old_blog_takes_log_sigma_for_the_log_variance() -> None:
    """It samples with exp(z_log_sigma) as sigma, and its KL has exp(z_log_sigma) as the variance."""
    report = weighed("keras_losses.py:old_keras_blog", shape=(784,))
    assert report.effective_beta is None
    assert "the logarithm of sigma is taken for the logarithm of the variance" in report.kl.problem
