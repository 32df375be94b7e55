"""Checks of the regularizer's own samples: drawn by its key, apart from z, and each for itself."""

import contextlib
import math

import numpy as np

from vae.conformance.reference import Array
from vae.conformance.subject import CASES, ERRORS, SkippedError, Subject
from vae.conformance.verdict import Verdict, same
from vae.random import Stream

_MANY_DRAWS = 1000
_APART = 1_000_000  # between the steps of z and of the regularizer's own draws, so that none are equal
_SAMPLES = 4


def are_drawn_by_the_key(subject: Subject) -> Verdict:
    """Check that a new seed, stream or step gives new samples.

    Samples of a constant key change nothing from call to call. They show in another way: they belong to places in the
    batch, so that another order of the examples changes the value.
    """
    first = float(subject.first())
    words = {
        "the seed and the stream": subject.first(stream=Stream.AUDIT_REGULARIZER),
        "the step": subject.first(draw=1),
    }
    ignored = [word for word, value in words.items() if float(value) == first]
    if len(ignored) == 1:
        advice = (
            f"with a key that differs only in {ignored[0]} it draws the same samples: does it use only a part of "
            "key.value? Give the whole key to vae.random, and fold_in for a further draw"
        )
        return Verdict(False, f"{first:.7g} again", "another value", advice)
    order = np.roll(np.arange(len(CASES[0].mu)), 1)
    rolled, straight = subject.rows(order), subject.rows(np.sort(order))
    advice = (
        "another order of the examples changes it, whatever the key: are samples drawn with a constant key or seed "
        "instead of the argument `key`? Every training step then has the same noise"
    )
    verdict = same(rolled, straight, advice)
    if verdict.passed and ignored:
        raise SkippedError("it draws no samples of its own")
    return verdict


def are_drawn_apart_from_z(subject: Subject) -> Verdict:
    """Check that mean and variance are the same whether or not the numbers of z's draw and of its own are equal.

    In training they are equal: both are the step. A class that makes a key of its own from the seed and the step may so
    draw the noise of z a second time. A mean over such samples then varies more than it should.
    """
    with contextlib.suppress(SkippedError):
        subject = subject.variant("samples", _SAMPLES)  # with one alone, a class may draw nothing besides z
    if not subject.draws_its_own or not subject.uses_z:
        raise SkippedError("it does not combine z with samples of its own")
    together, apart = subject.draws(_MANY_DRAWS), subject.draws(_MANY_DRAWS, apart=_APART)
    center = np.mean([together, apart])
    in_mean = _errors(together - apart)
    in_variance = _errors(np.square(together - center) - np.square(apart - center))
    advice = (
        f"its samples depend on z: at the same step its {'mean' if in_mean > in_variance else 'variance'} is another. "
        "Do they repeat the noise of z? Draw with the argument `key` itself, which is not the key of z"
    )
    measured, expected = (f"{values.mean():.4g}, spread {values.std(ddof=1):.3g}" for values in (together, apart))
    return Verdict(max(in_mean, in_variance) <= ERRORS, measured, expected, advice)


def lower_the_variance(subject: Subject) -> Verdict:
    """Check that four samples have a quarter of one sample's variance, or less."""
    one, more = (subject.variant("samples", count).draws(_MANY_DRAWS) for count in (1, _SAMPLES))
    if not one.var() > 0.0:
        raise SkippedError("the value of one sample does not change with its draws")
    ratio = float(more.var() / one.var())
    error = math.hypot(_relative_error_of_variance(one), _relative_error_of_variance(more)) / _SAMPLES
    advice = (
        f"with {_SAMPLES} samples its variance is {ratio:.0%} of one sample's instead of {1 / _SAMPLES:.0%}: does it "
        "use one key for several draws, which are then the same? Use vae.random.fold_in(key, 1), fold_in(key, 2), ..."
    )
    measured, expected = f"{ratio:.2f} of one sample's", f"{1 / _SAMPLES} (error {error:.1g}) or less"
    return Verdict(ratio <= 1 / _SAMPLES + ERRORS * error, measured, expected, advice)


def _errors(differences: Array) -> float:
    """Return by how many standard errors a mean of differences is not 0."""
    spread = float(differences.std(ddof=1))
    return abs(float(differences.mean())) * math.sqrt(len(differences)) / spread if spread > 0.0 else 0.0


def _relative_error_of_variance(values: Array) -> float:
    """Return the standard error of a sample variance over the variance, from the fourth moment."""
    squares = np.square(values - values.mean())
    return float(squares.std() / squares.mean() / math.sqrt(len(values))) if squares.any() else 0.0
