"""The discrete families against float64 formulas: divergences, draws, gradients; the Keras functions are exact."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import rel_entr
from scipy.stats import chisquare

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, Backend, JensenShannon, KerasLoss, MonteCarlo, Raw, Renyi, TotalCorrelation
from vae.latents import Bernoulli, BernoulliLatent, Categorical, CategoricalLatent
from vae.random import Stream, key

DRAW = key(0, Stream.PRIOR_SAMPLES, 0)
Discrete = Categorical | Bernoulli


def made(family: str, seed: int = 0, scale: float = 1.5) -> tuple[Discrete, Discrete, np.ndarray]:
    """A posterior of five examples and three variables, the prior, and the posterior's probabilities in float64."""
    generator = np.random.default_rng(seed)
    if family == "categorical":
        logits = generator.normal(scale=scale, size=(5, 3, 4)).astype(np.float32)
        vectors = np.exp(logits.astype(np.float64))
        vectors /= vectors.sum(axis=-1, keepdims=True)
        return Categorical(tf.constant(logits)), CategoricalLatent(3, 4).prior(), vectors
    logits = generator.normal(scale=scale, size=(5, 3)).astype(np.float32)
    one = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return Bernoulli(tf.constant(logits)), BernoulliLatent(3).prior(), np.stack([1 - one, one], axis=-1)


FAMILIES = pytest.mark.parametrize("family", ["categorical", "bernoulli"])


@pytest.mark.parametrize(("latent", "width"), [(CategoricalLatent(3, 4), 12), (BernoulliLatent(3), 3)])
def test_the_widths_of_parameters_and_draws(latent: CategoricalLatent | BernoulliLatent, width: int) -> None:
    assert latent.parameter_count == latent.z_size == width
    assert latent.posterior(tf.zeros([5, width])).sample(DRAW).shape == (5, width)


@FAMILIES
def test_the_exact_divergences(family: str) -> None:
    posterior, prior, q = made(family)
    p = np.full_like(q, 1 / q.shape[-1])
    middle = (p + q) / 2
    z = posterior.mean
    forward, reverse = rel_entr(q, p).sum(axis=-1), rel_entr(p, q).sum(axis=-1)
    jensen_shannon = (rel_entr(q, middle).sum(axis=-1) + rel_entr(p, middle).sum(axis=-1)) / 2
    renyi = np.log(np.sum(q**0.3 * p**0.7, axis=-1)) / (0.3 - 1)
    for regularizer, expected in (
        (Analytic(), forward),
        (Analytic("reverse"), reverse),
        (Analytic("symmetric"), (forward + reverse) / 2),
        (JensenShannon(), jensen_shannon),
        (Renyi(alpha=0.3), renyi),
    ):
        assert regularizer.per_latent(posterior, prior, z, key=KEY).numpy() == pytest.approx(
            expected, rel=1e-5, abs=1e-6
        )
        assert float(regularizer(posterior, prior, z, key=KEY)) == pytest.approx(expected.sum(axis=1).mean(), rel=1e-5)


@FAMILIES
@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_the_keras_functions_are_exact(family: str, direction: str) -> None:
    """No support, no clipping as long as no probability is below 1e-7: what is left is float32."""
    posterior, prior, _ = made(family)
    arguments = posterior, prior, posterior.mean
    exact = Analytic(direction).per_latent(*arguments, key=KEY).numpy()
    assert Backend(direction).per_latent(*arguments, key=KEY).numpy() == pytest.approx(exact, rel=1e-5, abs=1e-6)
    assert float(KerasLoss(direction, calibrate=True)(*arguments, key=KEY)) == pytest.approx(
        exact.sum(axis=1).mean(), rel=1e-5
    )
    assert float(KerasLoss(direction)(*arguments, key=KEY)) == pytest.approx(exact.mean(), rel=1e-5)


@FAMILIES
def test_true_draws_have_the_probabilities(family: str) -> None:
    posterior, _, q = made(family)
    z = posterior.sample(DRAW, samples=20_000).numpy()
    assert set(np.unique(z)) == {0.0, 1.0}
    counts = z.reshape(5, 20_000, 3, -1).sum(axis=1)
    if family == "bernoulli":
        counts = np.concatenate([20_000 - counts, counts], axis=-1)
    # 15 variables; by chance one in a thousand sets of draws has so small a p-value, and the seed is fixed
    assert chisquare(counts, 20_000 * q, axis=-1).pvalue.min() > 1e-3 / 15


@FAMILIES
def test_log_prob_of_draws(family: str) -> None:
    posterior, _, q = made(family)
    z = posterior.sample(DRAW).numpy()
    values = z.reshape(5, 3, -1)
    if family == "bernoulli":
        values = np.concatenate([1 - values, values], axis=-1)
    expected = np.log(np.sum(values * q, axis=-1))
    assert posterior.log_prob(tf.constant(z)).numpy() == pytest.approx(expected, rel=1e-5)
    pairs = np.array([[np.log(np.sum(one * other, axis=-1)).sum() for other in q] for one in values])
    assert posterior.pairwise_log_prob(z).numpy() == pytest.approx(pairs, rel=1e-5)


@FAMILIES
def test_relaxed_draws_become_true_ones_as_the_temperature_falls(family: str) -> None:
    posterior, _, _ = made(family)
    hard = posterior.sample(DRAW).numpy()
    assert posterior.relaxed_sample(DRAW, 1e-4, straight_through=False).numpy() == pytest.approx(hard, abs=1e-3)
    soft = posterior.relaxed_sample(DRAW, 2.0, straight_through=False).numpy()
    assert np.all((soft > 0) & (soft < 1))
    assert posterior.relaxed_sample(DRAW, 2.0, straight_through=True).numpy() == pytest.approx(hard, abs=1e-6)


@FAMILIES
def test_straight_through_has_the_relaxed_gradient(family: str) -> None:
    posterior, _, _ = made(family)
    gradients = []
    for straight_through in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(posterior.logits)
            z = posterior.relaxed_sample(DRAW, 0.7, straight_through)
            value = tf.reduce_sum(z * tf.cumsum(tf.ones_like(z), axis=1))
        gradients.append(tape.gradient(value, posterior.logits).numpy())
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-5)
    assert np.abs(gradients[0]).max() > 0.01


def test_the_concrete_density_s_gradient_equals_differences() -> None:
    """d z / d logit of a relaxed Bernoulli: z (1 - z) / temperature."""
    posterior, _, _ = made("bernoulli")
    with tf.GradientTape() as tape:
        tape.watch(posterior.logits)
        z = posterior.relaxed_sample(DRAW, 0.5, straight_through=False)
    slope = tape.gradient(z, posterior.logits).numpy()
    assert slope == pytest.approx(z.numpy() * (1 - z.numpy()) / 0.5, rel=1e-4)


@pytest.mark.parametrize("regularizer", [MonteCarlo(), Raw(), TotalCorrelation()], ids=lambda one: type(one).__name__)
@FAMILIES
def test_what_makes_no_sense_says_so(family: str, regularizer: Any) -> None:
    posterior, prior, _ = made(family)
    with pytest.raises(UserError, match=f"this is a {type(posterior).__name__}; kl=analytic is exact"):
        regularizer(posterior, prior, posterior.mean, key=KEY)


@pytest.mark.parametrize(
    "latent",
    [CategoricalLatent(3, 4, 2.0, 0.5, 7, straight_through=True), BernoulliLatent(3, 0.4)],
    ids=lambda one: type(one).__name__,
)
def test_families_come_back_from_their_configuration(latent: Any) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(latent))
    assert again.get_config() == latent.get_config()


def test_families_refuse_bad_values() -> None:
    with pytest.raises(UserError, match=r"temperature=0: .*greater than 0"):
        BernoulliLatent(3, temperature=0)
    with pytest.raises(UserError, match=r"final_temperature=-1: .*greater than 0"):
        CategoricalLatent(3, final_temperature=-1)
    with pytest.raises(UserError, match=r"classes=1: .*2"):
        CategoricalLatent(3, classes=1)


def test_the_temperature_falls_to_its_end() -> None:
    for schedule in (
        BernoulliLatent(1, 1.0, 0.25, 100).schedule(),
        CategoricalLatent(1, 2, 1.0, 0.25, 10, unit="epochs", steps_per_epoch=10).schedule(),
    ):
        assert [float(schedule(step)) for step in (0, 50, 100, 500)] == pytest.approx([1.0, 0.5, 0.25, 0.25])


@pytest.mark.parametrize("family", [CategoricalLatent, BernoulliLatent])
def test_a_configuration_of_0_1_0_still_builds(family: Any) -> None:
    old = {"size": 3, "temperature": 1.0, "final_temperature": 0.5, "annealing_steps": 60.0, "straight_through": True}
    latent = family.from_config(old)
    assert (latent.annealing, latent.unit) == (60.0, "steps")
    assert float(latent.schedule()(30)) == pytest.approx(0.5**0.5)
