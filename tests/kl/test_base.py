"""Properties of every regularizer of the group `kl`, in every direction."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.config.mistaken import WithoutKey
from tests.kl.conftest import DIRECTIONS, KEY, build
from vae.errors import UserError
from vae.kl import DirectedKL, KerasLoss, KLRegularizer, MaximumMeanDiscrepancy, PerLatentRegularizer
from vae.kl.base import check_signature
from vae.latents import Gaussian, GaussianLatent
from vae.random import Key, Stream, row_keys

Draw = Callable[..., tuple[Gaussian, Gaussian, tf.Tensor]]

#: A key for each of six examples, for regularizers that draw samples of their own.
ROW_KEYS = row_keys(0, Stream.EVALUATION_REGULARIZER, 0, 6)


def draws_samples(regularizer: KLRegularizer, arguments: Any) -> bool:
    keys = [row_keys(0, Stream.EVALUATION_REGULARIZER, first, 6) for first in (0, 6)]
    return float(regularizer(*arguments, key=keys[0])) != float(regularizer(*arguments, key=keys[1]))


def test_is_a_finite_float32_scalar(regularizer: KLRegularizer, gaussians: Draw) -> None:
    value = regularizer(*gaussians(), key=KEY)
    assert value.shape == ()
    assert value.dtype == tf.float32
    assert np.isfinite(value)


def test_is_zero_at_the_prior_and_positive_off_it(regularizer: KLRegularizer, gaussians: Draw) -> None:
    if isinstance(regularizer, MaximumMeanDiscrepancy):
        pytest.skip("zero in expectation only, which tests/kl/test_maximum_mean_discrepancy.py tests")
    posterior, prior, z = gaussians()
    at_prior = Gaussian(tf.zeros_like(posterior.mu), tf.zeros_like(posterior.mu))
    assert float(regularizer(at_prior, prior, z, key=KEY)) == pytest.approx(
        0.0, abs=1e-3
    )  # the quadrature misses 6e-5 of p
    assert float(regularizer(posterior, prior, z, key=KEY)) > 0.05


def test_per_latent_comes_before_any_reduction(regularizer: KLRegularizer, gaussians: Draw) -> None:
    posterior, prior, z = gaussians()
    if not isinstance(regularizer, PerLatentRegularizer) or draws_samples(regularizer, (posterior, prior, z)):
        pytest.skip("has no values for one latent variable alone, or draws others for it")
    values = regularizer.per_latent(posterior, prior, z, key=KEY)
    assert values.shape == (6, 5)
    one = Gaussian(posterior.mu[2:3, 3:4], posterior.log_var[2:3, 3:4])
    alone = regularizer.per_latent(one, Gaussian(tf.zeros([1, 1]), tf.zeros([1, 1])), z[2:3, 3:4], key=KEY)
    assert float(values[2, 3]) == pytest.approx(float(alone[0, 0]), rel=1e-5)


def test_reverse_is_forward_with_the_arguments_swapped(gaussians: Draw) -> None:
    posterior, prior, z = gaussians()
    wide_prior = Gaussian(tf.zeros_like(posterior.mu), tf.zeros_like(posterior.mu))
    for option in ("analytic", "backend"):
        forward, reverse, symmetric = (build(option, f"kl.direction={name}") for name in DIRECTIONS)
        swapped = float(forward(wide_prior, posterior, z, key=KEY))
        assert float(reverse(posterior, prior, z, key=KEY)) == pytest.approx(swapped, rel=1e-5)
        mean = (float(forward(posterior, prior, z, key=KEY)) + swapped) / 2
        assert float(symmetric(posterior, prior, z, key=KEY)) == pytest.approx(mean, rel=1e-5)
        assert float(reverse(posterior, prior, z, key=KEY)) != pytest.approx(
            float(forward(posterior, prior, z, key=KEY)), rel=1e-2
        )


def test_weight_zero_equals_leaving_out(canonical: KLRegularizer, gaussians: Draw) -> None:
    posterior, prior, z = gaussians()
    weight = tf.constant([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    rows = tf.where(weight > 0)[:, 0]
    part = Gaussian(tf.gather(posterior.mu, rows), tf.gather(posterior.log_var, rows))
    weighted = float(canonical(posterior, prior, z, key=ROW_KEYS, sample_weight=weight))
    part_keys = Key(tf.gather(ROW_KEYS.value, rows))
    assert weighted == pytest.approx(float(canonical(part, prior, tf.gather(z, rows), key=part_keys)), rel=1e-5)


def test_batch_size_changes_no_figure(regularizer: KLRegularizer, gaussians: Draw) -> None:
    if isinstance(regularizer, MaximumMeanDiscrepancy):
        pytest.skip("an example twice is a pair that it leaves out once")
    posterior, prior, z = gaussians()
    twice = Gaussian(tf.tile(posterior.mu, [2, 1]), tf.tile(posterior.log_var, [2, 1]))
    once = float(regularizer(posterior, prior, z, key=ROW_KEYS))
    keys = Key(tf.tile(ROW_KEYS.value, [2, 1]))
    assert float(regularizer(twice, prior, tf.tile(z, [2, 1]), key=keys)) == pytest.approx(once, rel=1e-5)


def test_gradients_are_finite_at_extremes(regularizer: KLRegularizer) -> None:
    latent = GaussianLatent(1)
    for mu in (-20.0, 0.0, 20.0):
        for log_var in (-20.0, 0.0, 10.0):
            parameters = tf.Variable([[mu, log_var]])
            with tf.GradientTape() as tape:
                posterior = latent.posterior(parameters)
                value = regularizer(posterior, latent.prior(), posterior.mean, key=KEY)
            assert np.isfinite(value), (mu, log_var)
            assert np.isfinite(tape.gradient(value, parameters)).all(), (mu, log_var)


def test_comes_back_from_its_configuration(regularizer: KLRegularizer, gaussians: Draw) -> None:
    serialized = keras.saving.serialize_keras_object(regularizer)
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is type(regularizer)
    assert again.get_config() == regularizer.get_config()
    arguments = gaussians()
    assert float(again(*arguments, key=KEY)) == float(regularizer(*arguments, key=KEY))


def test_every_argument_comes_back() -> None:
    loss = KerasLoss("symmetric", "histogram", 9, "sum", calibrate=True)
    assert KerasLoss.from_config(loss.get_config()).get_config() == {
        "direction": "symmetric",
        "support": "histogram",
        "points": 9,
        "reduction": "sum",
        "calibrate": True,
    }


def test_a_class_without_the_key_is_refused_in_one_line(regularizer: KLRegularizer) -> None:
    check_signature(regularizer)
    with pytest.raises(UserError, match=r"^WithoutKey.__call__ must be __call__\(self, .*\*, key, .*'key'$"):
        check_signature(WithoutKey())


def test_every_class_of_the_user_is_registered_and_checked() -> None:
    """A subclass needs no decorator: its name has its module, and its constructor follows its annotations."""

    class Scaled(DirectedKL):
        def __init__(self, direction: Any = "forward", alpha: int = 2) -> None:
            super().__init__(direction)
            self.alpha = alpha

        def divergence(self, first: Any, second: Any) -> tf.Tensor:
            return self.alpha * first.kl_divergence(second)

    assert keras.saving.get_registered_name(Scaled) == "tests.kl.test_base>Scaled"
    assert Scaled(alpha=1).get_config() == {"direction": "forward", "alpha": 1}
    with pytest.raises(UserError, match=r"alpha=half: .*integer"):
        Scaled(alpha="half")  # type: ignore[arg-type]
