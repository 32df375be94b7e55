"""What a KL regularizer is held against, check by check: `vae.kl.check` runs them and shows what they found.

A regularizer that draws samples is judged by its mean over many draws, up to its standard error.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from vae.conformance.mistakes import DIVERGENCES, Array, Gaussians, canonical, diagnose
from vae.conformance.subject import CASES, ERRORS, Estimate, SkippedError, Subject, sample
from vae.kl.base import KLRegularizer
from vae.latents import GaussianLatent

AGREES = 0.01  # how far, relatively, a value may be from the quadrature's: where nothing is clipped, Keras's is nearer
SAME = 1e-4  # how far apart one and the same number may be: float32 adds in another order
AT_PRIOR = 0.01  # how far from 0, in nats, a value may be at the prior: a quadrature of ours misses 6e-5 per latent
HALF = 0.05  # how far, relatively, a value of bfloat16 samples may be: they have three digits
MANY_DRAWS = 4000
WEIGHT = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 3.0])  # of the first case's examples
EVERY_ROW = range(6)  # of the first case


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Args:
        name: of the check.
        passed: None where it was skipped.
        measured: what the regularizer did, as it is shown.
        expected: what it should have done.
        advice: the probable mistake; why it was skipped; empty where it passed.
    """

    name: str
    passed: bool | None
    measured: str
    expected: str
    advice: str


class Finding(NamedTuple):
    """What a check comes to; the advice counts where it has not passed."""

    passed: bool
    measured: str
    expected: str
    advice: str


def is_scalar(subject: Subject) -> Finding:
    """A tensor of shape () and dtype float32, which enters the loss as it is."""
    value, expected = subject.first(), "float32 ()"
    if not tf.is_tensor(value):
        advice = "it returns no tensor: is it computed outside TensorFlow, where nothing can be differentiated?"
        return Finding(False, type(value).__name__, expected, advice)
    measured = f"{value.dtype.name} {tuple(value.shape)}"
    advice = "it has another dtype: end with tf.cast(value, tf.float32)"
    if value.shape.rank != 0:
        advice = "it is no scalar: sum over the latent variables, then average over the examples"
    return Finding(measured == expected, measured, expected, advice)


def is_repeatable(subject: Subject) -> Finding:
    """The same key and the same z give the same bits."""
    first, second = float(subject.first()), float(subject.first())
    advice = "the same key and z gave another value: does it draw by something else than vae.random.own_key()?"
    return Finding(np.array_equal(first, second, equal_nan=True), f"{second:.7g}", f"{first:.7g}", advice)


def runs_in_a_graph(subject: Subject) -> Finding:
    """Training calls it inside a tf.function."""
    eager, traced = float(subject.first()), Estimate(float(tf.function(subject.first)()))
    advice = "inside a tf.function, as in training, it is another value: does it depend on state of Python or NumPy?"
    return Finding(traced.near(eager, SAME), str(traced), f"{eager:.4g}", advice)


def is_zero_at_the_prior(subject: Subject) -> Finding:
    """Every divergence of a distribution from itself is 0."""
    value = subject.mean(CASES[0].prior)
    advice = "where posterior and prior are the same, a divergence is 0: is a constant left out, such as the -1?"
    return Finding(value.near(0.0, AT_PRIOR), str(value), "0", advice)


def is_not_negative(subject: Subject) -> Finding:
    """No divergence is negative, whatever the posterior."""
    posteriors = [(0.3, 0.7), (0.3, -0.5), (-1.0, 0.0), (-0.5, -3.0)]
    values = [*subject.on_cases, *(subject.mean(_alike(mu, log_var)) for mu, log_var in posteriors)]
    lowest = min(values, key=lambda estimate: estimate.value + ERRORS * estimate.error)
    advice = "a divergence is never negative: is the sign turned round, or is it of numbers that are no probabilities?"
    return Finding(lowest.value >= -AT_PRIOR - ERRORS * lowest.error, str(lowest), "0 or more", advice)


def agrees(direction: str) -> Callable[[Subject], Finding]:
    """The check that the value in a direction is the quadrature's, on batches of different sizes."""

    def check(subject: Subject) -> Finding:
        estimates = subject.turned(direction).on_cases
        pairs = [(each, canonical(DIVERGENCES[direction](case))) for each, case in zip(estimates, CASES, strict=True)]
        worst, expected = max(pairs, key=lambda pair: abs(pair[0].value / pair[1] - 1.0))
        passed = all(estimate.near(exact, AGREES) for estimate, exact in pairs)
        values, errors = [each.value for each in estimates], [each.error for each in estimates]
        advice = "" if passed else diagnose(direction, CASES, values, errors)
        return Finding(passed, str(worst), f"{expected:.4g} within {AGREES:.0%}", advice)

    return check


def is_unbiased(subject: Subject) -> Finding:
    """The mean over many draws is the exact value within four standard errors: once in 16,000 not, by chance."""
    if not subject.samples:
        raise SkippedError("it draws no samples: neither z nor the key changes it")
    exact = canonical(DIVERGENCES[subject.direction](CASES[0]))
    mean = subject.mean(CASES[0], MANY_DRAWS)
    off = (mean.value - exact) / mean.error
    advice = (
        f"the mean over {MANY_DRAWS} draws is {abs(off):.0f} standard errors off: do the samples come from the "
        "distribution that the expectation is under, and count alike?"
    )
    return Finding(abs(off) <= 4.0, str(mean), f"{exact:.4g} within 4 errors", advice)


def is_not_capped(subject: Subject) -> Finding:
    """In every direction the exact value is 32 nats at mu = 8, 16 times that at mu = 2."""
    near, far = (subject.mean(_alike(mu, 0.0)) for mu in (2.0, 8.0))
    if near.near(0.0, SAME):
        raise SkippedError("it is 0 at mu = 2 already")
    growth = far.value / near.value
    advice = (
        "a posterior far from the prior counts too little: is something clipped? keras.losses.kl_divergence clips "
        "probabilities to [1e-7, 1], so that no latent variable counts for more than 16.118 nats"
    )
    return Finding(growth > 0.9 * 16.0, f"{far}, {growth:.3g}-fold", "32, 16-fold", advice)


def has_no_dead_gradients(subject: Subject) -> Finding:
    """No entry of mu or log_var has a gradient of exactly 0 where the exact divergence has another."""
    dead = subject.gradients(_FAR_AND_NEAR)[1] == 0.0
    of_mu, of_log_var = dead.mean(axis=(1, 2))
    advice = (
        f"{of_mu:.0%} of the gradients with respect to mu and {of_log_var:.0%} of those with respect to log_var are "
        "exactly 0, so that training cannot move these posteriors: is something clipped?"
    )
    if dead.all():
        advice = "no gradient arrives at all: is it computed outside TensorFlow, or behind tf.stop_gradient?"
    return Finding(not dead.any(), f"{dead.mean():.1%} dead", "0% dead", advice)


#: Every entry has an exact gradient in every direction: no mu is 0, no log_var is 0, log(1 + mu^2) or half of that
_FAR_AND_NEAR = Gaussians.rounded(
    *np.meshgrid([-20.0, -8.0, -2.0, 0.5, 1.0, 3.0, 8.0, 20.0], [-20.0, -12.0, -6.0, -2.0, -0.5, 0.6, 2.0, 5.0, 10.0])
)


def is_finite_at_extremes(subject: Subject) -> Finding:
    """Value and gradients are finite for |mu| up to 20 and log_var from -20 to 10, the bounds of `vae.latents`."""
    broken = []
    for mu in (-20.0, 0.0, 20.0):
        for log_var in (-20.0, 0.0, 10.0):
            value, gradients = subject.gradients(_alike(mu, log_var))
            if not np.isfinite([value, *gradients.flat]).all():
                broken.append(f"mu={mu:g} log_var={log_var:g}")
    advice = (
        f"the value or a gradient is no finite number at {', '.join(broken)}: does an exp overflow, or a log or a "
        "division meet 0? Densities are better kept as logarithms"
    )
    return Finding(not broken, f"{9 - len(broken)} of 9", "9 of 9", advice)


def ignores_order(subject: Subject) -> Finding:
    """The rows of the batch, with those of z and of the weights, may stand in any order."""
    order = np.array([3, 0, 5, 1, 4, 2])
    advice = "another order of the examples changes it: are rows of the posterior, z and sample_weight mixed up?"
    return _equal(subject.rows(order, WEIGHT[order]), subject.rows(EVERY_ROW, WEIGHT), advice)


def ignores_size(subject: Subject) -> Finding:
    """A batch that is repeated has the same mean over examples."""
    once, twice = subject.rows(EVERY_ROW), subject.rows([*EVERY_ROW, *EVERY_ROW])
    advice = "a batch repeated twice changes it: is it a mean over examples?"
    if twice.near(2.0 * once.value, SAME, 2.0 * once.error):
        advice = "a batch repeated twice doubles it: does it sum over the batch where it should average?"
    return _equal(twice, once, advice)


def leaves_out_weight_zero(subject: Subject) -> Finding:
    """An example whose weight is 0 counts as little as one that is not there."""
    weight = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    return _weighted(subject, weight, subject.rows(np.flatnonzero(weight)))


def ignores_equal_weights(subject: Subject) -> Finding:
    """Weights of 3 for every example change no mean."""
    return _weighted(subject, np.full(6, 3.0), subject.rows(EVERY_ROW))


def weights_the_mean(subject: Subject) -> Finding:
    """With weights it is the weighted mean, in float64, of what it says of each example alone."""
    alone = [subject.rows([row]) for row in EVERY_ROW]

    def mean(weight: Array) -> Estimate:
        values, errors = np.array([(each.value, each.error) for each in alone]).T
        share = weight / weight.sum()
        return Estimate(float(share @ values), float(np.linalg.norm(share * errors)))

    plain = mean(np.ones(6))
    if not subject.rows(EVERY_ROW).near(plain.value, SAME, plain.error):
        raise SkippedError("without weights it is no mean over examples")
    return _weighted(subject, WEIGHT, mean(WEIGHT))


def takes_half(dtype: tf.DType) -> Callable[[Subject], Finding]:
    """The check that with an encoder in float16 or bfloat16 the value is a float32 number, the same up to rounding."""

    def check(subject: Subject) -> Finding:
        parameters = np.concatenate([CASES[0].mu, CASES[0].log_var], axis=1)
        parameters[:, -2:] = 20.0  # log_var, which the latents keep below 10: sums of exp(10) overflow in float16
        precise, rounded = (GaussianLatent(5).posterior(tf.cast(parameters, each)) for each in (tf.float32, dtype))
        z, weight = sample(rounded), tf.constant(WEIGHT, tf.float32)
        exact = float(subject(precise, sample(precise), weight))
        values, refused = [subject(rounded, z, weight)], []
        for name, arguments in {"z": (tf.cast(z, dtype), weight), "weights": (z, tf.cast(weight, dtype))}.items():
            try:
                values.append(subject(rounded, *arguments))
            except (TypeError, ValueError, tf.errors.OpError):
                refused.append(name)
        off = float(np.max([abs(float(value) - exact) for value in values])) / max(abs(exact), 1.0)
        passed = off < HALF and all(value.dtype == tf.float32 for value in values)
        measured = f"{off:.1%} off" + "".join(f", refuses {name}" for name in refused)
        advice = (
            f"with parameters, z or sample_weight in {dtype.name} it is not the float32 number that it should be: does "
            "it compute in the type of z or sample_weight? Cast them to float32 first"
        )
        return Finding(passed, measured, f"under {HALF:.0%} off", advice)

    return check


def comes_back(subject: Subject) -> Finding:
    """A saved model rebuilds it from its configuration, by way of JSON."""
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(subject.regularizer)))
    again = keras.saving.deserialize_keras_object(serialized)
    before, after = float(subject.first()), float(Subject(again).first())
    same = again.get_config() == subject.regularizer.get_config()
    advice = "a saved model would rebuild another one: does every attribute hold its constructor argument unchanged?"
    return Finding(same and before == after, f"{after:.7g}", f"{before:.7g}", advice)


def _alike(mu: float, log_var: float) -> Gaussians:
    """Four equal posteriors over one latent variable."""
    return Gaussians.rounded(np.full((4, 1), mu), np.full((4, 1), log_var))


def _equal(measured: Estimate, expected: Estimate, advice: str) -> Finding:
    return Finding(measured.near(expected.value, SAME, expected.error), str(measured), str(expected), advice)


def _weighted(subject: Subject, weight: Array, expected: Estimate) -> Finding:
    """Whether the first case with these weights has the expected value."""
    measured, unweighted = subject.rows(EVERY_ROW, weight), subject.rows(EVERY_ROW)
    advice = "does sample_weight, (batch,), multiply other examples' values, or stand against the latent variables?"
    if measured.near(unweighted.value, SAME, unweighted.error):
        advice = "it is what it is without weights: does it ignore sample_weight?"
    elif any(measured.near(factor * expected.value, AGREES) for factor in (weight.mean(), weight.sum())):
        advice = (
            "is the weighted sum divided by the number of examples, or by nothing, where it should be divided by the "
            "sum of the weights?"
        )
    return _equal(measured, expected, advice)


class Check(NamedTuple):
    """A check by name; `of_the_kl` where it compares with the KL, which another divergence is not."""

    name: str
    find: Callable[[Subject], Finding]
    of_the_kl: bool = False


CHECKS = (
    Check("float32 scalar", is_scalar),
    Check("repeatable", is_repeatable),
    Check("runs in a graph", runs_in_a_graph),
    Check("zero at the prior", is_zero_at_the_prior),
    Check("not negative", is_not_negative),
    Check("forward, D[q||p]", agrees("forward"), of_the_kl=True),
    Check("reverse, D[p||q]", agrees("reverse"), of_the_kl=True),
    Check("symmetric, their mean", agrees("symmetric"), of_the_kl=True),
    Check("unbiased", is_unbiased, of_the_kl=True),
    Check("large values", is_not_capped, of_the_kl=True),
    Check("no dead gradients", has_no_dead_gradients, of_the_kl=True),
    Check("finite at extremes", is_finite_at_extremes),
    Check("order of the batch", ignores_order),
    Check("size of the batch", ignores_size),
    Check("weight 0 leaves out", leaves_out_weight_zero),
    Check("equal weights", ignores_equal_weights),
    Check("weighted mean", weights_the_mean),
    Check("float16", takes_half(tf.float16)),
    Check("bfloat16", takes_half(tf.bfloat16)),
    Check("configuration", comes_back),
)


def run(regularizer: KLRegularizer, checks: Sequence[Check] = CHECKS) -> list[CheckResult]:
    """What each check finds."""
    subject = Subject(regularizer)
    return [_result(check, subject) for check in checks]


def _result(check: Check, subject: Subject) -> CheckResult:
    try:
        if check.of_the_kl and not subject.regularizer.estimates_kl:
            raise SkippedError("another divergence by intention: estimates_kl is False")
        if check.find is not is_scalar and not subject.is_usable:
            raise SkippedError("it returns no scalar")
        finding = check.find(subject)
    except SkippedError as reason:
        return CheckResult(check.name, None, "", "", str(reason))
    except Exception as error:  # whatever a class that is not ours may raise
        return CheckResult(check.name, False, "an error", "a value", f"it raised {_said(error)}")
    return CheckResult(check.name, *(finding._replace(advice="") if finding.passed else finding))


def _said(error: Exception) -> str:
    """An exception's type and what it says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # AutoGraph repeats the traceback in the message, and the exception at its end
    return lines[-1] if lines[0] == "in user code:" else f"{type(error).__name__}: {lines[0]}"
