"""Checks of the reduction: the weighted mean over a batch, whatever its order and size."""

import numpy as np

from vae.conformance.reference import Array
from vae.conformance.subject import FIRST_WEIGHTS, Estimate, SkippedError, Subject
from vae.conformance.values import AGREES
from vae.conformance.verdict import SAME, Verdict, same

EVERY_ROW = range(6)  # of the first case


def ignores_order(subject: Subject) -> Verdict:
    """Check that the order of the examples, with their z and weights, changes nothing."""
    order = np.array([3, 0, 5, 1, 4, 2])
    advice = "another order of the examples changes it: are rows of the posterior, z and sample_weight mixed up?"
    return same(subject.rows(order, FIRST_WEIGHTS[order]), subject.rows(EVERY_ROW, FIRST_WEIGHTS), advice)


def ignores_size(subject: Subject) -> Verdict:
    """Check that a batch repeated twice has the same mean over examples."""
    once, twice = subject.rows(EVERY_ROW), subject.rows([*EVERY_ROW, *EVERY_ROW])
    advice = "a batch repeated twice changes it: is it a mean over examples?"
    if twice.near(2.0 * once.value, SAME, 2.0 * once.error):
        advice = "a batch repeated twice doubles it: does it sum over the batch instead of averaging?"
    return same(twice, once, advice)


def leaves_out_weight_zero(subject: Subject) -> Verdict:
    """Check that an example of weight 0 has the same effect as an absent one."""
    weight = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    return _weighted(subject, weight, subject.rows(np.flatnonzero(weight)))


def ignores_equal_weights(subject: Subject) -> Verdict:
    """Check that a weight of 3 for every example changes nothing."""
    return _weighted(subject, np.full(6, 3.0), subject.rows(EVERY_ROW))


def weights_the_mean(subject: Subject) -> Verdict:
    """Check that the value with weights is the weighted mean, in float64, of the values of single examples."""
    alone = [subject.rows([row]) for row in EVERY_ROW]

    def mean(weight: Array) -> Estimate:
        values, errors = np.array([(each.value, each.error) for each in alone]).T
        share = weight / weight.sum()
        return Estimate(float(share @ values), float(np.linalg.norm(share * errors)))

    unweighted = mean(np.ones(6))
    if not subject.rows(EVERY_ROW).near(unweighted.value, SAME, unweighted.error):
        raise SkippedError("without weights it is not a mean over examples")
    return _weighted(subject, FIRST_WEIGHTS, mean(FIRST_WEIGHTS))


def _weighted(subject: Subject, weight: Array, expected: Estimate) -> Verdict:
    """Return the verdict on the first case with these weights, which should have the expected value."""
    measured, unweighted = subject.rows(EVERY_ROW, weight), subject.rows(EVERY_ROW)
    advice = "does sample_weight, (batch,), multiply other examples' values, or align with the latent variables?"
    if measured.near(unweighted.value, SAME, unweighted.error):
        advice = "it is the same without weights: does it ignore sample_weight?"
    elif any(measured.near(factor * expected.value, AGREES) for factor in (weight.mean(), weight.sum())):
        advice = (
            "is the weighted sum divided by the number of examples, or by nothing, instead of the sum of the weights?"
        )
    return same(measured, expected, advice)
