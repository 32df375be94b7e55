"""Checks of sample_weight: a weighted mean over examples, on any scale and for any shape of the batch."""

import numpy as np

from vae.conformance.reference import Array, Gaussians
from vae.conformance.subject import AGREES, CASES, FIRST_WEIGHTS, Estimate, SkippedError, Subject
from vae.conformance.verdict import SAME, Verdict, same

_ONE_HUGE = np.array([1.0, 1.0, 1e4, 1.0, 1.0, 1.0])
_SCALES = (1e-4, 1e4)
_ALIGNMENT = "does sample_weight, (batch,), multiply other examples' values, or align with the latent variables?"
_DIVISOR = "is the weighted sum divided by the number of examples, or by nothing, instead of the sum of the weights?"


def leave_out_examples(subject: Subject) -> Verdict:
    """Check that an example of weight 0 has the same effect as an absent one."""
    weight = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    return _verdict(subject, weight, subject.rows(np.flatnonzero(weight)))


def are_relative(subject: Subject) -> Verdict:
    """Check that a weight of 3 for every example changes nothing."""
    return _verdict(subject, np.full(6, 3.0), subject.rows(range(6)))


def have_no_scale(subject: Subject) -> Verdict:
    """Check that weights 10,000 times as small or as large give the same value."""
    expected = subject.rows(range(6), FIRST_WEIGHTS)
    advice = (
        "weights of another scale change it: is the sum of the weights kept from 0 by a maximum or an added constant? "
        "tf.math.divide_no_nan needs neither. Or is it not divided by the sum of the weights?"
    )
    verdicts = [same(subject.rows(range(6), scale * FIRST_WEIGHTS), expected, advice) for scale in _SCALES]
    return min(verdicts, key=lambda verdict: verdict.passed)


def weight_the_mean(subject: Subject) -> Verdict:
    """Check that the value with weights is the weighted mean, in float64, of the values of single examples."""
    alone = [subject.rows([row]) for row in range(6)]
    unweighted = _mean(alone, np.ones(6))
    if not subject.rows(range(6)).near(unweighted.value, SAME, unweighted.error):
        raise SkippedError("without weights it is not a mean over examples")
    clipped = "one example of a large weight counts for too little or too much: are the weights clipped or squashed?"
    verdicts = [
        _verdict(subject, FIRST_WEIGHTS, _mean(alone, FIRST_WEIGHTS)),
        _verdict(subject, _ONE_HUGE, _mean(alone, _ONE_HUGE), advice=clipped),
    ]
    return min(verdicts, key=lambda verdict: verdict.passed)


def align_with_examples(subject: Subject) -> Verdict:
    """Check weights of 0 and 1 for as many examples as latent variables, and for one latent variable.

    In other batches weights `(batch,)` that meet values `(batch, latents)` raise an error; here they broadcast.
    """
    verdicts = []
    for case, batch in ((CASES[1], CASES[1].mu.shape[1]), (Gaussians.drawn(4, 1), 4)):
        weight = np.asarray(np.arange(batch) % 2, np.float64)
        shape = (batch, case.mu.shape[1])
        advice = (
            f"for values of shape {shape} the weights, ({batch},), broadcast against the wrong axis, the latent "
            "variables, without an error: multiply by sample_weight[:, tf.newaxis], or sum over the latents first"
        )
        expected = subject.rows(np.flatnonzero(weight), case=case)
        verdicts.append(_verdict(subject, weight, expected, case, advice))
    return min(verdicts, key=lambda verdict: verdict.passed)


def may_all_be_zero(subject: Subject) -> Verdict:
    """Check that value and gradients are 0 if every weight is 0, as in a padded part of a batch."""
    value, gradients = subject.gradients(CASES[0], np.zeros(6))
    finite = bool(np.isfinite([value, *gradients.flat]).all())
    measured = f"{value:.4g}" + (", gradients not finite" if np.isfinite(value) and not finite else "")
    advice = "weights without a sum do not give 0: is it divided by the sum of the weights? Use tf.math.divide_no_nan"
    if finite:
        advice = "weights of 0 do not give 0: does it ignore sample_weight?"
    return Verdict(value == 0.0 and not gradients.any(), measured, "0", advice)


def _mean(alone: list[Estimate], weight: Array) -> Estimate:
    values, errors = np.array([(each.value, each.error) for each in alone]).T
    share = weight / weight.sum()
    return Estimate(float(share @ values), float(np.linalg.norm(share * errors)))


def _verdict(
    subject: Subject, weight: Array, expected: Estimate, case: Gaussians = CASES[0], advice: str = _ALIGNMENT
) -> Verdict:
    """Return the verdict on the first rows of a case with these weights, which should have the expected value.

    The advice is that for a value which neither of two common mistakes explains: to ignore the weights, or to divide by
    something else than their sum.
    """
    rows = range(len(weight))
    measured = subject.rows(rows, weight, case)
    verdict = same(measured, expected, advice)
    if verdict.passed:
        return verdict
    unweighted = subject.rows(rows, case=case)
    if measured.near(unweighted.value, SAME, unweighted.error):
        return verdict._replace(advice="it is the same without weights: does it ignore sample_weight?")
    if any(measured.near(factor * expected.value, AGREES) for factor in (weight.mean(), weight.sum())):
        return verdict._replace(advice=_DIVISOR)
    return verdict
