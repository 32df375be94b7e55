"""What a KL regularizer is held against, check by check: `vae.kl.check` runs them and shows what they found.

A regularizer that draws samples is judged by its mean over many draws, and what is stated is five standard errors.
"""

import functools
import inspect
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae.kl._mistakes import DIVERGENCES, Array, Gaussians, canonical, diagnose
from vae.kl.contract import DIRECTIONS, KLRegularizer
from vae.latents import Gaussian, GaussianLatent
from vae.noise import Stream, key, regularizer_key

AGREES = 0.01  # how far, relatively, a value may be from the quadrature's: an honest approximation is nearer
SAME = 1e-4  # how far two values of what should be the same number: float32 adds in another order
HALF = 0.05  # how far a value of float16 or bfloat16 samples: bfloat16 has three digits
ERRORS = 5.0  # how many standard errors a mean may be off: once in two million by chance
DRAWS, MANY_DRAWS = 400, 4000

CASES = (Gaussians.drawn(6, 5), Gaussians.drawn(4, 3), Gaussians.drawn(3, 7))  # no two sizes are the same
WEIGHT = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 3.0])  # of the first case's examples


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Args:
        name: of the check.
        passed: None where it was skipped.
        measured, expected: the figures, as they are shown.
        advice: the probable mistake, or why it was skipped; empty where it passed.
    """

    name: str
    passed: bool | None
    measured: str = ""
    expected: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Finding:
    """What a check comes to; the advice counts only where it has not passed."""

    passed: bool
    measured: str
    expected: str
    advice: str


@dataclass(frozen=True)
class Estimate:
    """A mean over draws and its standard error, in nats; the error is 0 where nothing is drawn."""

    value: float
    error: float

    def near(self, expected: float, tolerance: float, other_error: float = 0.0) -> bool:
        """Whether it is the expected number, up to a relative tolerance and its standard error."""
        allowed = tolerance * max(abs(expected), 1.0) + ERRORS * math.hypot(self.error, other_error)
        return abs(self.value - expected) <= allowed  # False where either is not a number

    def __str__(self) -> str:
        return f"{self.value:.4g}" + (f" ± {self.error:.1g}" if self.error else "")


class Skip(Exception):
    """A check does not concern this regularizer; the message says why."""


class Subject:
    """A regularizer under examination, and how it is called."""

    def __init__(self, regularizer: KLRegularizer) -> None:
        self.regularizer = regularizer
        direction = getattr(regularizer, "direction", "forward")
        self.direction = direction if direction in DIRECTIONS else "forward"
        self._in_graph = tf.function(self._values)

    def __call__(self, posterior: Gaussian, z: tf.Tensor, weight: Any = None, draw: Any = 0) -> tf.Tensor:
        """What the regularizer returns for the prior N(0, 1), its own samples those of draw number `draw`."""
        with regularizer_key(key(0, Stream.TRAINING_REGULARIZER, draw)):
            return self.regularizer(posterior, GaussianLatent(posterior.mu.shape[1]).prior(), z, weight)

    @functools.cached_property
    def draws_its_own(self) -> bool:
        """Whether the value changes with the key that it is given for samples of its own."""
        posterior = gaussian(CASES[0])
        z = sample(posterior)
        return len({float(self(posterior, z, draw=draw)) for draw in (0, 0, 1, 2)}) > 1

    @functools.cached_property
    def samples(self) -> bool:
        """Whether it is an estimate: its value changes with its own samples or with z."""
        posterior = gaussian(CASES[0])
        return self.draws_its_own or len({float(self(posterior, sample(posterior, draw))) for draw in (0, 1, 2)}) > 1

    def mean(self, case: Gaussians, draws: int = DRAWS) -> Estimate:
        """The value for these posteriors, averaged over z and over samples of its own."""
        return self._average(draws if self.samples else 1, case, np.arange(len(case.mu)), None)

    @functools.cached_property
    def on_cases(self) -> list[Estimate]:
        """The means for all of `CASES`."""
        return [self.mean(case) for case in CASES]

    def carried(self, case: Gaussians, rows: Any, weight: Any = None) -> Estimate:
        """The value for some rows of these posteriors with those rows of z, averaged over samples of its own.

        Args:
            case: the posteriors.
            rows: which, in their order.
            weight: the rows' sample weights, or None.
        """
        return self._average(DRAWS if self.draws_its_own else 1, case, np.asarray(rows), weight)

    def turned(self, direction: str) -> "Subject":
        """The same regularizer in another direction."""
        if direction == self.direction:
            return self
        if "direction" not in inspect.signature(type(self.regularizer)).parameters:
            raise Skip("the class takes no direction")
        configuration = {**self.regularizer.get_config(), "direction": direction}
        return Subject(type(self.regularizer).from_config(configuration))

    def gradients(self, case: Gaussians) -> tuple[float, Array]:
        """The value and its gradients with respect to mu and log_var, `(2, batch, latents)`."""
        posterior = gaussian(case)
        with tf.GradientTape() as tape:
            tape.watch([posterior.mu, posterior.log_var])
            value = self(posterior, sample(posterior))
        gradients = tape.gradient(value, [posterior.mu, posterior.log_var], unconnected_gradients="zero")
        return float(value), np.array([np.asarray(gradient, np.float64) for gradient in gradients])

    def _average(self, draws: int, case: Gaussians, rows: Array, weight: Any) -> Estimate:
        run = self._values if draws == 1 else self._in_graph
        posterior = gaussian(case)
        weight = None if weight is None else tf.constant(weight, tf.float32)
        values = run(tf.range(draws), posterior.mu, posterior.log_var, tf.constant(rows, tf.int32), weight).numpy()
        error = 0.0 if draws == 1 else float(values.std(ddof=1) / math.sqrt(draws))
        return Estimate(float(values.mean()), error)

    def _values(self, draws: tf.Tensor, mu: tf.Tensor, log_var: tf.Tensor, rows: tf.Tensor, weight: Any) -> tf.Tensor:
        def value(draw: tf.Tensor) -> tf.Tensor:
            z = sample(Gaussian(mu, log_var), draw)
            posterior = Gaussian(tf.gather(mu, rows), tf.gather(log_var, rows))
            return tf.cast(self(posterior, tf.gather(z, rows), weight, draw), tf.float64)

        return tf.map_fn(value, draws, fn_output_signature=tf.float64)


def gaussian(case: Gaussians) -> Gaussian:
    """The posteriors as a regularizer is given them."""
    return Gaussian(tf.constant(case.mu, tf.float32), tf.constant(case.log_var, tf.float32))


def sample(posterior: Gaussian, draw: Any = 0) -> tf.Tensor:
    """Draw number `draw` of z, `(batch, latents)`."""
    return posterior.sample(key(0, Stream.TRAINING_POSTERIOR, draw))


def alike(mu: float, log_var: float, batch: int = 4) -> Gaussians:
    """A batch of equal posteriors over one latent variable."""
    return Gaussians.rounded(np.full((batch, 1), mu), np.full((batch, 1), log_var))


def is_scalar(subject: Subject) -> Finding:
    """A tensor of shape () and dtype float32, which enters the loss as it is."""
    posterior = gaussian(CASES[0])
    value = subject(posterior, sample(posterior))
    if not tf.is_tensor(value):
        return Finding(False, type(value).__name__, "float32 ()", "it returns no tensor: is it computed outside TensorFlow?")
    measured = f"{value.dtype.name} {tuple(value.shape)}"
    advice = "it is a scalar of another type: cast it by tf.cast(value, tf.float32)"
    if value.shape.rank != 0:
        advice = "it is no scalar: sum over the latent variables, then average over the examples"
    return Finding(value.dtype == tf.float32 and value.shape.rank == 0, measured, "float32 ()", advice)


def is_repeatable(subject: Subject) -> Finding:
    """The same key and the same z give the same bits."""
    posterior = gaussian(CASES[0])
    z = sample(posterior)
    first, second = (float(subject(posterior, z)) for _ in range(2))
    advice = "the same key gave another value: does it draw by something else than vae.noise.own_key()?"
    return Finding(first == second, f"{second:.7g}", f"{first:.7g}", advice)


def runs_in_a_graph(subject: Subject) -> Finding:
    """Training calls it inside a tf.function."""
    posterior = gaussian(CASES[0])
    z = sample(posterior)

    @tf.function
    def traced() -> tf.Tensor:
        return subject(posterior, z)

    eager = float(subject(posterior, z))
    value = Estimate(float(traced()), 0.0)
    advice = "inside a tf.function, as in training, the value is another one: does it depend on Python or NumPy state?"
    return Finding(value.near(eager, SAME), str(value), f"{eager:.4g}", advice)


def is_zero_at_the_prior(subject: Subject) -> Finding:
    """Every divergence of a distribution from itself is 0."""
    value = subject.mean(CASES[0].prior)
    advice = (
        "where the posterior is the prior, a divergence is 0: is a constant left out, such as the -1 of "
        "0.5 * (mu^2 + exp(log_var) - 1 - log_var)?"
    )
    return Finding(value.near(0.0, 1e-3), str(value), "0", advice)


def is_not_negative(subject: Subject) -> Finding:
    """No divergence is negative, whatever the posterior."""
    single = [subject.mean(alike(*pair)) for pair in ((0.3, -0.5), (-1.0, 0.0), (0.0, 0.7), (-0.5, -3.0))]
    lowest = min([*subject.on_cases, *single], key=lambda estimate: estimate.value + ERRORS * estimate.error)
    advice = (
        "a divergence is never negative: is the sign turned round, or is the function applied to numbers that are no "
        "probabilities?"
    )
    return Finding(lowest.value >= -SAME - ERRORS * lowest.error, str(lowest), "0 or more", advice)


def agrees(direction: str) -> Callable[[Subject], Finding]:
    """The check that a direction's value is the quadrature's, on batches of different sizes."""

    def check(subject: Subject) -> Finding:
        estimates = subject.turned(direction).on_cases
        exact = [canonical(DIVERGENCES[direction](case)) for case in CASES]
        pairs = list(zip(estimates, exact, strict=True))
        worst, expected = max(pairs, key=lambda pair: abs(pair[0].value / pair[1] - 1.0))
        passed = all(estimate.near(value, AGREES) for estimate, value in pairs)
        advice = "" if passed else _diagnosis(direction, CASES, estimates)
        return Finding(passed, str(worst), f"{expected:.4g} within 1%", advice)

    return check


def is_unbiased(subject: Subject) -> Finding:
    """The mean over many draws is the exact value within four standard errors, and no other tolerance."""
    if not subject.samples:
        raise Skip("it draws no samples: the value depends neither on z nor on the key")
    case = CASES[0]
    exact = canonical(DIVERGENCES[subject.direction](case))
    mean = subject.mean(case, MANY_DRAWS)
    off = (mean.value - exact) / mean.error
    advice = f"the mean over {MANY_DRAWS} draws is {off:+.1f} standard errors off: " + _diagnosis(
        subject.direction, [case], [mean]
    )
    return Finding(abs(off) <= 4.0, str(mean), f"{exact:.4g} within 4 errors", advice)


def is_not_capped(subject: Subject) -> Finding:
    """At mu = 8 the exact value is 32 nats in every direction, 16 times that at mu = 2."""
    near, far = (subject.mean(alike(mu, 0.0)) for mu in (2.0, 8.0))
    growth = far.value / near.value if near.value else math.nan
    advice = (
        "a posterior far from the prior counts too little: is something clipped? keras.losses.kl_divergence clips "
        "probabilities to [1e-7, 1], so that no latent variable counts for more than 16.118 nats"
    )
    return Finding(growth > 0.9 * 16.0, f"{far} nats, {growth:.3g}-fold", "32 nats, 16-fold", advice)


#: In every direction every entry has an exact gradient that is not 0: no mu is 0, no log_var is 0 or log(1 + mu^2)
FAR_AND_NEAR = Gaussians.rounded(
    *np.meshgrid([-20.0, -8.0, -2.0, 0.5, 1.0, 3.0, 8.0, 20.0], [-20.0, -12.0, -6.0, -2.0, -0.5, 0.6, 2.0, 5.0, 10.0])
)


def has_no_dead_gradients(subject: Subject) -> Finding:
    """No entry of mu or log_var has a gradient of exactly 0 where the exact divergence has another."""
    dead = subject.gradients(FAR_AND_NEAR)[1] == 0.0
    of_mu, of_log_var = (f"{share:.0%}" for share in dead.mean(axis=(1, 2)))
    advice = (
        f"{of_mu} of the gradients with respect to mu and {of_log_var} of those with respect to log_var are exactly 0, "
        "so that training cannot move these posteriors: is something clipped?"
    )
    if dead.all():
        advice = "no gradient arrives: is it computed outside TensorFlow, or behind tf.stop_gradient?"
    return Finding(not dead.any(), f"{dead.mean():.1%} dead", "0% dead", advice)


def is_finite_at_extremes(subject: Subject) -> Finding:
    """Value and gradients are finite for |mu| up to 20 and log_var from -20 to 10, which the encoder can give."""
    broken = []
    for mu in (-20.0, 0.0, 20.0):
        for log_var in (-20.0, 0.0, 10.0):
            value, gradients = subject.gradients(alike(mu, log_var, batch=2))
            if not np.isfinite([value, *gradients.flat]).all():
                broken.append(f"mu={mu:g}, log_var={log_var:g}")
    advice = (
        f"the value or a gradient is no finite number at {'; '.join(broken)}: is there an exp, a log or a division that "
        "overflows or meets 0? Compute with log_var and log-densities"
    )
    return Finding(not broken, f"{9 - len(broken)} of 9", "9 of 9", advice)


def ignores_order(subject: Subject) -> Finding:
    """The rows of the batch, with those of z and of the weights, may stand in any order."""
    order = np.array([3, 0, 5, 1, 4, 2])
    advice = "another order of the examples changes it: are the rows of posterior, z and sample_weight mixed up?"
    before, after = subject.carried(CASES[0], range(6), WEIGHT), subject.carried(CASES[0], order, WEIGHT[order])
    return _equal(after, before, advice)


def ignores_size(subject: Subject) -> Finding:
    """A batch that is repeated has the same mean over examples."""
    once, twice = (subject.carried(CASES[0], np.tile(np.arange(6), times)) for times in (1, 2))
    advice = "a batch repeated twice changes it: is it a mean over examples?"
    if twice.near(2.0 * once.value, SAME, 2.0 * once.error):
        advice = "a batch repeated twice doubles it: does it sum over the batch where it should average?"
    return _equal(twice, once, advice)


def leaves_out_weight_zero(subject: Subject) -> Finding:
    """An example whose weight is 0 counts as little as one that is not there."""
    kept = np.array([0, 2, 3, 5])
    weight = np.isin(range(6), kept).astype(float)
    weighted, left_out = subject.carried(CASES[0], range(6), weight), subject.carried(CASES[0], kept)
    return _equal(weighted, left_out, _weight_advice(subject, weight, weighted, left_out.value))


def ignores_equal_weights(subject: Subject) -> Finding:
    """Weights of 3 for every example change no mean."""
    weight = np.full(6, 3.0)
    weighted, unweighted = subject.carried(CASES[0], range(6), weight), subject.carried(CASES[0], range(6))
    return _equal(weighted, unweighted, _weight_advice(subject, weight, weighted, unweighted.value))


def weights_the_mean(subject: Subject) -> Finding:
    """The weighted mean over examples is to the mean what it is in float64, whatever the values' own scale."""
    values = DIVERGENCES[subject.direction](CASES[0]).sum(axis=1)
    exact = float(np.average(values, weights=WEIGHT) / values.mean())
    unweighted = subject.mean(CASES[0])
    weighted = subject.mean(CASES[0], weight=WEIGHT)
    ratio = weighted.value / unweighted.value if unweighted.value else math.nan
    error = math.hypot(weighted.error, ratio * unweighted.error) / abs(unweighted.value or math.nan)
    advice = _weight_advice(subject, WEIGHT, weighted, exact * unweighted.value)
    found = Estimate(ratio, error)
    return Finding(found.near(exact, AGREES), f"{found} of the mean", f"{exact:.4g} of the mean", advice)


def takes_half(dtype: tf.DType) -> Callable[[Subject], Finding]:
    """The check that an encoder in float16 or bfloat16 gives the value that it would in float32."""

    def check(subject: Subject) -> Finding:
        case = Gaussians.rounded(CASES[0].mu, CASES[0].log_var)
        case.mu[0, 0], case.log_var[1, 1] = 20.0, 9.5  # their squares and exponentials overflow in float16
        parameters = tf.cast(np.concatenate([case.mu, case.log_var], axis=1), dtype)
        posterior = GaussianLatent(case.mu.shape[1]).posterior(parameters)
        z, weight = sample(posterior), tf.constant(WEIGHT, tf.float32)
        expected = subject(posterior, z, weight)
        ...
    return check


def comes_back(subject: Subject) -> Finding:
    """A saved model rebuilds it from its configuration."""
    regularizer = subject.regularizer
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(regularizer)))
    again = keras.saving.deserialize_keras_object(serialized)
    posterior = gaussian(CASES[0])
    before, after = (float(each(posterior, sample(posterior))) for each in (subject, Subject(again)))
    same = again.get_config() == regularizer.get_config()
    advice = "the rebuilt one is another: is every argument of the constructor kept in an attribute of the same name?"
    return Finding(same and before == after, f"{after:.7g}", f"{before:.7g}", advice)


def _equal(measured: Estimate, expected: Estimate, advice: str) -> Finding:
    return Finding(measured.near(expected.value, SAME, expected.error), str(measured), str(expected), advice)


def _diagnosis(direction: str, cases: Any, estimates: list[Estimate]) -> str:
    values, errors = zip(*((estimate.value, estimate.error) for estimate in estimates), strict=True)
    return diagnose(direction, cases, values, errors)
