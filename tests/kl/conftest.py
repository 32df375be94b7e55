"""Posteriors to hold the regularizers against, and every option of the group `kl`."""

import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.conftest import REPOSITORY
from vae.kl import KLRegularizer
from vae.latents import Gaussian

OPTIONS = sorted(path.stem for path in (REPOSITORY / "configs" / "kl").glob("*.yaml"))
DIRECTIONS = ("forward", "reverse", "symmetric")

#: Every option of the group `kl`, in every direction: a new YAML file is tested without an edit here.
VARIANTS = [(option, direction) for option, direction in itertools.product(OPTIONS, DIRECTIONS)]


@functools.cache
def build(option: str, *overrides: str) -> KLRegularizer:
    """A regularizer as `kl=option kl.name=value` gives it."""
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        config = compose("train", [f"kl={option}", *overrides])
    regularizer: KLRegularizer = instantiate(config.kl, _convert_="all")
    return regularizer


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(variant))
def regularizer(request: pytest.FixtureRequest) -> KLRegularizer:
    option, direction = request.param
    return build(option, f"kl.direction={direction}")


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(variant))
def canonical(request: pytest.FixtureRequest) -> KLRegularizer:
    """The same, calibrated where the option has a reduction of its own."""
    option, direction = request.param
    calibrate = ["kl.calibrate=true"] if hasattr(build(option), "calibrate") else []
    return build(option, f"kl.direction={direction}", *calibrate)


@pytest.fixture
def gaussians() -> Callable[..., tuple[Gaussian, Gaussian, tf.Tensor]]:
    """Posteriors of a plausible spread, the standard normal prior, and a sample."""

    def draw(batch: int = 6, latents: int = 5, seed: int = 0) -> tuple[Gaussian, Gaussian, tf.Tensor]:
        generator = np.random.default_rng(seed)
        mu = tf.constant(generator.normal(size=(batch, latents)), tf.float32)
        log_var = tf.constant(generator.uniform(-1.5, 0.5, size=(batch, latents)), tf.float32)
        posterior = Gaussian(mu, log_var)
        prior = Gaussian(tf.zeros([1, latents]), tf.zeros([1, latents]))
        return posterior, prior, posterior.sample(tf.constant(generator.normal(size=(batch, latents)), tf.float32))

    return draw
