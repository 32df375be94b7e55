"""Posteriors to hold the regularizers against, and every option of the group `kl`."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.conftest import REPOSITORY
from vae.kl import KLRegularizer
from vae.latents import Gaussian
from vae.random import Stream, key

OPTIONS = sorted(path.stem for path in (REPOSITORY / "configs" / "kl").glob("*.yaml"))
DIRECTIONS = ("forward", "reverse", "symmetric")
#: The key of a regularizer's own draws.
KEY = key(0, Stream.TRAINING_REGULARIZER, 0)


def directions(option: str) -> list[str]:
    """The overrides that give an option each of its directions, where it has any."""
    has_one = "\ndirection:" in (REPOSITORY / "configs" / "kl" / f"{option}.yaml").read_text()
    return [f"kl.direction={name}" for name in DIRECTIONS] if has_one else [""]


#: Every option of the group `kl`, in every direction: a new YAML file is tested without an edit here.
VARIANTS = [(option, direction) for option in OPTIONS for direction in directions(option)]


@functools.cache
def build(option: str, *overrides: str) -> KLRegularizer:
    """A regularizer as `kl=option kl.name=value` gives it."""
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        config = compose("train", [f"kl={option}", *overrides])
    regularizer: KLRegularizer = instantiate(config.kl, _convert_="all")
    return regularizer


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(variant))
def regularizer(request: pytest.FixtureRequest) -> KLRegularizer:
    return build(*filter(None, request.param))


@pytest.fixture(params=VARIANTS, ids=lambda variant: "-".join(variant))
def canonical(request: pytest.FixtureRequest) -> KLRegularizer:
    """The same, calibrated where the option has a reduction of its own."""
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
