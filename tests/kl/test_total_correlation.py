"""beta-TCVAE's decomposition against NumPy and known answers."""

from typing import Literal

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import norm

from tests.kl.conftest import KEY
from vae.errors import UserError
from vae.kl import Analytic, TotalCorrelation
from vae.latents import Gaussian
from vae.random import Stream, key

Estimator = Literal["stratified", "weighted"]
ESTIMATORS: tuple[Estimator, ...] = ("stratified", "weighted")
PRIOR = Gaussian(tf.zeros([1, 2]), tf.zeros([1, 2]))


def drawn(batch: int, seed: int = 0) -> tuple[Gaussian, tf.Tensor]:
    generator = np.random.default_rng(seed)
    mu = tf.constant(generator.normal(size=(batch, 2)), tf.float32)
    log_var = tf.constant(generator.uniform(-1, 0, size=(batch, 2)), tf.float32)
    posterior = Gaussian(mu, log_var)
    return posterior, posterior.sample(key(seed, Stream.TRAINING_POSTERIOR, 0))


def aggregate_of_prior(batch: int, latents: int, sigma: float, seed: int) -> tuple[Gaussian, tf.Tensor]:
    """Posteriors of width sigma with means drawn so that their aggregate is N(0, 1), and a sample of each."""
    generator = np.random.default_rng(seed)
    mu = np.sqrt(1 - sigma**2) * generator.normal(size=(batch, latents))
    z = mu + sigma * generator.normal(size=mu.shape)
    return Gaussian(tf.constant(mu, tf.float32), tf.fill(mu.shape, 2 * float(np.log(sigma)))), tf.constant(
        z, tf.float32
    )


def reference(
    posterior: Gaussian,
    z: tf.Tensor,
    size: int,
    estimator: str = "stratified",
    weight: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], ...]:
    """The three parts of Chen et al. 2018: stratified weights averaged over which other example is the last one."""
    mu, sigma = posterior.mu.numpy().astype(float), np.exp(posterior.log_var.numpy().astype(float) / 2)
    batch, points = len(mu), z.numpy().astype(float)
    pairs = norm.logpdf(points[:, np.newaxis], mu[np.newaxis], sigma[np.newaxis])
    others = batch - 1
    stratified = ((others - 1) / others + (size - others) / (size * others)) / others
    share = np.where(np.eye(batch) > 0, 1 / size, stratified)
    if estimator == "weighted":
        share = np.tile(np.ones(batch) / batch if weight is None else weight / weight.sum(), (batch, 1))
    with np.errstate(divide="ignore"):  # the log of a weight of 0
        share = np.log(share)
    joint = logsumexp(share + pairs.sum(axis=2), axis=1)
    marginals = logsumexp(share[..., np.newaxis] + pairs, axis=1).sum(axis=1)
    own = norm.logpdf(points, mu, sigma).sum(axis=1)
    return own - joint, joint - marginals, marginals - norm.logpdf(points).sum(axis=1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_parts_equal_the_formula(estimator: Estimator) -> None:
    posterior, z = drawn(9)
    for measured, expected in zip(
        TotalCorrelation(dataset_size=500, estimator=estimator).parts(posterior, PRIOR, z),
        reference(posterior, z, 500, estimator),
        strict=True,
    ):
        assert measured.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_weighted_estimator_takes_weights() -> None:
    """An example of weight 0 is in no density, and an example of weight 2 counts as two."""
    posterior, z = drawn(9)
    weight = np.array([0.0, 1.0, 2.0, 0.5, 1.0, 0.0, 1.0, 3.0, 1.0])
    measured = TotalCorrelation(dataset_size=500, estimator="weighted").parts(posterior, PRIOR, z, tf.constant(weight))
    for part, expected in zip(measured, reference(posterior, z, 500, "weighted", weight), strict=True):
        assert part.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_without_a_dataset_size_both_estimators_are_the_same() -> None:
    posterior, z = drawn(9)
    values = [float(TotalCorrelation(estimator=estimator)(posterior, PRIOR, z, key=KEY)) for estimator in ESTIMATORS]
    assert values[0] == pytest.approx(values[1], rel=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize(("estimator", "sign"), [("stratified", -1), ("weighted", 1)])
def test_the_bias_is_that_of_the_second_order(estimator: Estimator, sign: int) -> None:
    """E log q-hat - log q = -(C - 1) / (2 (B - 1)), or +(C - 1) / (2 B) if z's own posterior is included.

    C = E[q(z|x) / q(z)] over q(x, z) is sigma^-2 per variable if the aggregate is N(0, 1). The prior is the same, so
    that the truth of both parts is 0, and their estimates are the bias. The means are of 300 batches.
    """
    latents, sigma, batch = 2, 0.7, 128
    kl = TotalCorrelation(dataset_size=10**9, estimator=estimator)
    rows = []
    for seed in range(300):
        posterior, z = aggregate_of_prior(batch, latents, sigma, seed)
        _, correlation, marginal = kl.parts(posterior, PRIOR, z)
        rows.append([float(tf.reduce_mean(correlation + marginal)), float(tf.reduce_mean(marginal))])
    means, errors = np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(len(rows))
    size = batch - 1 if estimator == "stratified" else batch
    expected = sign * np.array([sigma ** (-2 * latents) - 1, latents * (sigma**-2 - 1)]) / (2 * size)
    assert np.all(errors < 0.25 * np.abs(expected))  # the bias is seen
    assert np.all(np.abs(means - expected) < 4 * errors + 0.1 * np.abs(expected))  # a tenth for the higher orders


def test_the_regularizer_is_negative_at_a_healthy_posterior() -> None:
    """Three independent variables with 6.9 nats of information, 60,000 examples, batches of 100."""
    prior = Gaussian(tf.zeros([1, 3]), tf.zeros([1, 3]))
    values: dict[str, list[float]] = {"stratified": [], "weighted": []}
    for seed in range(20):
        posterior, z = aggregate_of_prior(100, 3, 0.1, seed)
        for estimator, found in values.items():
            kl = TotalCorrelation(dataset_size=60_000, estimator=estimator)  # type: ignore[arg-type]
            found.append(float(kl(posterior, prior, z, key=KEY)))
    truth = -3 * np.log(0.1)
    for estimator, sign in (("stratified", -1), ("weighted", 1)):
        mean, error = np.mean(values[estimator]), np.std(values[estimator]) / np.sqrt(20)
        assert sign * (mean - truth) > 4 * error
    assert np.mean(values["stratified"]) < 0.0


def test_the_bias_of_the_total_correlation_has_either_sign() -> None:
    """Upwards for two variables with one mean, whose total correlation is -log(1 - r^2) / 2, r = 1 - sigma^2."""
    sigma, estimates = 0.03, []
    for seed in range(60):
        one, _ = aggregate_of_prior(128, 1, sigma, seed)
        posterior = Gaussian(tf.tile(one.mu, [1, 2]), tf.tile(one.log_var, [1, 2]))
        z = posterior.sample(key(seed, Stream.TRAINING_POSTERIOR, 0))
        estimates.append(float(tf.reduce_mean(TotalCorrelation(dataset_size=20_000).parts(posterior, PRIOR, z)[1])))
    truth = -0.5 * np.log(1 - (1 - sigma**2) ** 2)
    assert np.mean(estimates) - truth > 4 * np.std(estimates) / np.sqrt(len(estimates))


def test_the_weights_weigh_the_parts() -> None:
    posterior, z = drawn(9)
    information, correlation, marginal = (part.mean() for part in reference(posterior, z, 500))
    value = float(TotalCorrelation(0.5, 6.0, 2.0, dataset_size=500)(posterior, PRIOR, z, key=KEY))
    assert value == pytest.approx(0.5 * information + 6 * correlation + 2 * marginal, rel=1e-4)


def test_with_all_weights_one_it_is_an_estimate_of_the_kl() -> None:
    """The parts add up to log q(z|x) - log p(z), whatever the densities between them."""
    posterior, z = drawn(2000)
    value = float(TotalCorrelation(1.0, 1.0, 1.0)(posterior, PRIOR, z, key=KEY))
    terms = tf.reduce_sum(posterior.log_prob(z) - PRIOR.log_prob(z), axis=1).numpy().astype(float)
    assert value == pytest.approx(terms.mean(), rel=1e-4)
    exact = float(Analytic()(posterior, PRIOR, z, key=KEY))
    assert abs(value - exact) < 4 * terms.std() / np.sqrt(2000)


@pytest.mark.parametrize(
    ("weights", "estimates_kl"),
    [((1.0, 1.0, 1.0), True), ((1.0, 6.0, 1.0), False), ((1.0, 1.0, 2.0), False), ((2.0, 2.0, 2.0), False)],
)
def test_with_other_weights_it_is_another_divergence_on_purpose(
    weights: tuple[float, float, float], estimates_kl: bool
) -> None:
    assert TotalCorrelation(*weights).estimates_kl is estimates_kl


def test_independent_variables_have_no_total_correlation() -> None:
    """And variables that are one and the same have that of a Gaussian: -log(1 - r^2) / 2."""
    generator = np.random.default_rng(3)
    common, noise = generator.normal(size=(1500, 1)), generator.normal(size=(1500, 2))
    for mu, expected in ((generator.normal(size=(1500, 2)), 0.0), (np.repeat(common, 2, axis=1), None)):
        posterior = Gaussian(tf.constant(mu, tf.float32), tf.fill([1500, 2], float(np.log(0.25))))
        z = tf.constant(mu + 0.5 * noise, tf.float32)
        correlation = float(tf.reduce_mean(TotalCorrelation().parts(posterior, PRIOR, z)[1]))
        r = 1 / 1.25
        # 1,500 draws, and the density of a mixture of 1,500
        assert correlation == pytest.approx(-0.5 * np.log(1 - r**2) if expected is None else expected, abs=0.06)


def test_a_batch_of_one_is_its_own_aggregate() -> None:
    posterior, z = drawn(1)
    information, correlation, _ = TotalCorrelation(dataset_size=100).parts(posterior, PRIOR, z)
    assert (float(information[0]), float(correlation[0])) == pytest.approx((0.0, 0.0), abs=1e-5)


def test_refuses_less_than_one_example() -> None:
    with pytest.raises(UserError, match=r"dataset_size=0: .*greater than 0"):
        TotalCorrelation(dataset_size=0)


def test_refuses_other_estimators() -> None:
    with pytest.raises(UserError, match=r"estimator=ratio: .*'stratified' or 'weighted'"):
        TotalCorrelation(estimator="ratio")  # type: ignore[arg-type]
