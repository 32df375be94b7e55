"""Models saved by version 0.1.0 still load, and every class of its names."""

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from vae import VAE
from vae.kl import DirectedKL
from vae.latents import LatentFamily, Prior
from vae.likelihoods import Likelihood
from vae.networks import Networks
from vae.objectives import Objective
from vae.saving import _PACKAGES_OF_0_1_0
from vae.schedules import Schedule

RUNS = REPOSITORY / "tests" / "runs" / "of_0_1_0"
MODELS = sorted(RUNS.glob("*/**/*.keras"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.relative_to(RUNS).parts[0]}-{path.stem}")
def test_a_model_of_0_1_0_loads(path: Path) -> None:
    """A latent family with annealing, a schedule, a capacity and a learned prior are among them."""
    vae = keras.models.load_model(path)
    assert isinstance(vae, VAE)
    images = np.random.default_rng(0).random((5, *vae.encoder.input_shape[1:])).astype(np.float32)
    reconstructions = vae.predict(images, verbose=0)
    assert reconstructions.shape == images.shape
    assert np.isfinite(reconstructions).all()
    assert np.isfinite(list(vae.evaluate(images, verbose=0, return_dict=True).values())).all()


def test_the_models_of_0_1_0_cover_every_kind() -> None:
    assert {path.relative_to(RUNS).parts[0] for path in MODELS} >= {"keras_loss", "categorical", "mixture"}


@pytest.mark.parametrize("name", _PACKAGES_OF_0_1_0)
def test_every_old_name_is_a_class(name: str) -> None:
    found = keras.saving.get_registered_object(f"{_PACKAGES_OF_0_1_0[name]}>{name}")
    assert found.__name__ == name
    assert keras.saving.get_registered_name(found) == f"vae>{name}"


@pytest.mark.parametrize("base", [DirectedKL, LatentFamily, Prior, Likelihood, Networks, Objective, Schedule])
def test_a_class_of_the_user_is_registered_by_its_module(base: type) -> None:
    own = type("Own", (base,), {"__module__": "my_package.my_module"})
    assert keras.saving.get_registered_object("my_package.my_module>Own") is own
