"""The result of a check, and the comparisons that checks share."""

from typing import NamedTuple

from vae.conformance.subject import Estimate

SAME = 1e-4  # the relative difference of equal numbers: float32 adds in another order


class Verdict(NamedTuple):
    """The result of a check.

    Args:
        passed: whether the regularizer passed.
        measured: the regularizer's result, as text.
        expected: the right result, as text.
        advice: the probable mistake, of use only if the check failed.
    """

    passed: bool
    measured: str
    expected: str
    advice: str


def same(measured: Estimate, expected: Estimate, advice: str) -> Verdict:
    """Return the verdict on a value that should be the same as another, up to rounding and standard errors."""
    return Verdict(measured.near(expected.value, SAME, expected.error), str(measured), str(expected), advice)
