"""Free bits, capacity, and schedules of beta and temperature, against NumPy, and under the compiled engine."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.kl.conftest import KEY
from vae import VAE
from vae.errors import UserError
from vae.kl import Analytic, KerasLoss, KLRegularizer, MonteCarlo, TotalCorrelation
from vae.latents import BernoulliLatent, Gaussian
from vae.objectives import ELBO
from vae.random import Stream, key
from vae.schedules import Linear

PRIOR = Gaussian(tf.zeros([1, 4]), tf.zeros([1, 4]))
WEIGHT = np.array([1.0, 0.0, 2.0, 0.5, 1.0, 0.0, 3.0], np.float32)


@pytest.fixture
def posterior() -> Gaussian:
    """Seven examples of four variables, of which the first two hardly leave the prior."""
    generator = np.random.default_rng(0)
    mu = generator.normal(size=(7, 4)) * [0.1, 0.2, 1.0, 2.0]
    return Gaussian(tf.constant(mu, tf.float32), tf.zeros([7, 4]))


def term(objective: ELBO, kl: KLRegularizer, posterior: Gaussian, weight: NDArray[np.float32] | None = None) -> float:
    return float(objective.term(kl, posterior, PRIOR, posterior.mean, key=KEY, step=0, sample_weight=weight))


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("group_size", [1, 2])
def test_free_bits(posterior: Gaussian, group_size: int, weight: NDArray[np.float32] | None) -> None:
    """Kingma et al. 2016: the sum over groups of max(lambda, the batch's mean of the group's KL)."""
    means = np.average(posterior.mu.numpy().astype(float) ** 2 / 2, axis=0, weights=weight)
    expected = np.maximum(0.3, means.reshape(-1, group_size).sum(axis=1)).sum()
    measured = term(ELBO(free_bits=0.3, group_size=group_size), Analytic(), posterior, weight)
    assert measured == pytest.approx(expected, rel=1e-5)
    assert expected > np.sum(means) + 0.1  # some group has its bits for nothing


def test_a_group_below_its_free_bits_has_no_gradient(posterior: Gaussian) -> None:
    mu = tf.identity(posterior.mu)
    with tf.GradientTape() as tape:
        tape.watch(mu)
        q = Gaussian(mu, posterior.log_var)
        value = ELBO(free_bits=0.3).term(Analytic(), q, PRIOR, mu, key=KEY, step=0)
    slope = tape.gradient(value, mu).numpy()
    assert np.all(slope[:, :2] == 0.0)
    assert slope[:, 2:] == pytest.approx(mu.numpy()[:, 2:] / 7, rel=1e-5)


def test_free_bits_on_draws_are_biased_upwards() -> None:
    """E max(lambda, X) against 100,000 draws of X in NumPy, where the KL is lambda; the closed form has no bias.

    X is the mean over 20 examples of log q(z|x) - log p(z) for q = N(mu, 1), that is mu^2 / 2 + mu * noise.
    """
    free, batch, steps = 0.1, 20, 2000
    mu = np.sqrt(2 * free)
    generator = np.random.default_rng(0)
    means = generator.normal(size=(100_000, batch)).mean(axis=1) * mu + mu**2 / 2
    expected = np.maximum(free, means).mean()
    assert expected == pytest.approx(free + mu / np.sqrt(2 * np.pi * batch), rel=0.01)  # the half of a normal

    # 2,000 steps are as many latent variables, whose values are independent
    posterior = Gaussian(tf.fill([batch, steps], float(mu)), tf.zeros([batch, steps]))
    prior = Gaussian(tf.zeros([1, steps]), tf.zeros([1, steps]))
    z = posterior.sample(key(0, Stream.TRAINING_POSTERIOR, 0))
    objective = ELBO(free_bits=free)
    drawn, exact = (
        float(objective.term(kl, posterior, prior, z, key=KEY, step=0)) / steps for kl in (MonteCarlo(), Analytic())
    )
    error = np.maximum(free, means).std() / np.sqrt(steps)
    assert exact == pytest.approx(free, rel=1e-5)
    assert abs(drawn - expected) < 4 * error
    assert expected - free > 10 * error


def test_free_bits_keep_a_regularizer_s_own_reduction(posterior: Gaussian) -> None:
    for weight in (None, WEIGHT):
        canonical = term(ELBO(free_bits=0.3), KerasLoss(calibrate=True), posterior, weight)
        averaged = term(ELBO(free_bits=0.3), KerasLoss(), posterior, weight)
        plain = [
            float(kl(posterior, PRIOR, posterior.mean, key=KEY, sample_weight=weight))
            for kl in (KerasLoss(calibrate=True), KerasLoss())
        ]
        assert averaged / canonical == pytest.approx(plain[1] / plain[0], rel=1e-4)


def test_capacity_rises_to_its_value(posterior: Gaussian) -> None:
    """Burgess et al. 2018, equation 8: |KL - C|, C from 0 to its value over the ramp."""
    kl = float(np.mean(np.sum(posterior.mu.numpy().astype(float) ** 2 / 2, axis=1)))
    for objective in (ELBO(capacity=6.0, ramp=10), ELBO(capacity=6.0, ramp=2.5, unit="epochs", steps_per_epoch=4)):
        for step, capacity in ((0, 0.0), (5, 3.0), (10, 6.0), (50, 6.0)):
            value = float(objective.term(Analytic(), posterior, PRIOR, posterior.mean, key=KEY, step=step))
            assert value == pytest.approx(abs(kl - capacity), rel=1e-5)


def test_refuses_bad_values(posterior: Gaussian) -> None:
    with pytest.raises(UserError, match=r"objective.free_bits=0.1: TotalCorrelation has no values per latent"):
        term(ELBO(free_bits=0.1), TotalCorrelation(), posterior)
    with pytest.raises(UserError, match=r"objective.group_size=3: does not divide 4 latent variables"):
        term(ELBO(free_bits=0.1, group_size=3), Analytic(), posterior)
    for options, words in (
        ({"free_bits": -1.0}, "free_bits=-1.0: .*0"),
        ({"group_size": 0}, "group_size=0: .*greater than 0"),
        ({"capacity": -2.0}, "capacity=-2.0: .*0"),
        ({"capacity": 2.0, "unit": "epochs"}, "unit=epochs: .*steps_per_epoch"),
    ):
        with pytest.raises(UserError, match=words):
            ELBO(**options)  # type: ignore[arg-type]


@pytest.mark.thorough
def test_the_model_follows_its_schedule(make_vae: Callable[..., VAE], images: NDArray[np.float32]) -> None:
    """The loss is reconstruction + beta(step) * regularizer, with the step before the update."""
    vae = make_vae(beta=0.5, schedule=Linear(4))
    betas = []
    for step in range(6):
        betas.append(float(vae.current_beta()))
        measured = vae.train_on_batch(images, return_dict=True)
        expected = 0.5 * min(step / 4, 1.0)
        assert betas[-1] == pytest.approx(expected)
        vae.reset_metrics()
        assert measured["loss"] == pytest.approx(measured["reconstruction"] + expected * measured["kl"], rel=1e-5)


@pytest.mark.thorough
def test_all_of_it_comes_back_from_a_file(
    make_vae: Callable[..., VAE], images: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> None:
    vae = make_vae(
        beta=2.0,
        latents=BernoulliLatent(6, 1.0, 0.5, 10),
        schedule=Linear(4),
        objective=ELBO(free_bits=0.01, capacity=3.0, ramp=5),
    )
    vae.fit(images, batch_size=25, epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    vae.save(path)
    again = keras.models.load_model(path)
    assert float(again.current_beta()) == float(vae.current_beta()) == 1.0
    assert again.objective.get_config() == vae.objective.get_config()
    for one in (vae, again):  # the same steps from here: temperature, capacity and beta go on
        one.fit(images, batch_size=25, epochs=2, verbose=0, shuffle=False)
    assert all(np.array_equal(*pair) for pair in zip(vae.get_weights(), again.get_weights(), strict=True))
