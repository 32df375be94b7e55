"""Posteriors to test the regularizers on, and every option of the group `kl`."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY
from vae.cli import compose
from vae.config.build import build as build_object
from vae.kl import KLRegularizer
from vae.latents import Gaussian
from vae.random import Stream, key

OPTIONS = sorted(path.stem for path in (REPOSITORY / "configs" / "kl").glob("*.yaml"))
DIRECTIONS = ("forward", "reverse", "symmetric")
#: The key of a regularizer's own draws.
KEY = key(0, Stream.TRAINING_REGULARIZER, 0)


def directions(option: str) -> list[str]:
    """Return the overrides that give an option each of its directions, if it has any."""
    has_directions = "direction" in compose("train", f"kl={option}").kl
    return [f"kl.direction={name}" for name in DIRECTIONS] if has_directions else [""]


#: Every option of the group `kl`, in every direction: a new YAML file is tested without an edit here.
VARIANTS = [(option, direction) for option in OPTIONS for direction in directions(option)]


@functools.cache
def build(option: str, *overrides: str) -> KLRegularizer:
    """Return a regularizer as `kl=option kl.name=value` gives it."""
    regularizer: KLRegularizer = build_object("kl", compose("train", f"kl={option}", *overrides).kl)
    return regularizer


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(variant))
def regularizer(request: pytest.FixtureRequest) -> KLRegularizer:
    return build(*filter(None, request.param))


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(variant))
def canonical(request: pytest.FixtureRequest) -> KLRegularizer:
    """The same, calibrated if the option has a reduction of its own."""
    option, _ = request.param
    calibrate = ["kl.calibrate=true"] if hasattr(build(option), "calibrate") else []
    return build(*filter(None, request.param), *calibrate)


@pytest.fixture
def gaussians() -> Callable[..., tuple[Gaussian, Gaussian, tf.Tensor]]:
    """Posteriors of a plausible spread, the standard normal prior, and a sample."""

    def draw(batch: int = 6, latents: int = 5, seed: int = 0) -> tuple[Gaussian, Gaussian, tf.Tensor]:
        generator = np.random.default_rng(seed)
        mu = tf.constant(generator.normal(size=(batch, latents)), tf.float32)
        log_var = tf.constant(generator.uniform(-1.5, 0.5, size=(batch, latents)), tf.float32)
        posterior = Gaussian(mu, log_var)
        prior = Gaussian(tf.zeros([1, latents]), tf.zeros([1, latents]))
        return posterior, prior, posterior.sample(key(seed, Stream.TRAINING_POSTERIOR, 0))

    return draw
