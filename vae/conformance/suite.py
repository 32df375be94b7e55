"""The suite: every check by its name, in order, and a run of them on one regularizer.

A regularizer that draws samples is judged by its mean over many draws, up to its standard error.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from vae.conformance import axes, batches, form, gradients, keys, values, weights
from vae.conformance.subject import SkippedError, Subject
from vae.conformance.verdict import Verdict
from vae.kl.base import KLRegularizer, check_signature


@dataclass(frozen=True)
class CheckResult:
    """The result of one check on one regularizer.

    Args:
        name: the name of the check.
        passed: whether it passed; None if it was skipped.
        measured: the regularizer's result, as text.
        expected: the right result, as text.
        advice: the probable mistake, or the reason for skipping; empty if the check passed.
    """

    name: str
    passed: bool | None
    measured: str
    expected: str
    advice: str


class Check(NamedTuple):
    """A check and its name.

    Args:
        name: the name.
        judge: the function from a regularizer under test to the verdict.
        of_the_kl: whether it compares with the KL, so that another divergence skips it.
    """

    name: str
    judge: Callable[[Subject], Verdict]
    of_the_kl: bool = False


CHECKS = (
    Check("float32 scalar", form.is_scalar),
    Check("repeatable", form.is_repeatable),
    Check("runs in a graph", form.runs_in_a_graph),
    Check("drawn by the key", keys.are_drawn_by_the_key),
    Check("drawn apart from z", keys.are_drawn_apart_from_z),
    Check("variance of samples", keys.lower_the_variance),
    Check("zero at the prior", values.is_zero_at_the_prior),
    Check("not negative", values.is_not_negative),
    Check("forward, D[q||p]", values.agrees("forward"), of_the_kl=True),
    Check("reverse, D[p||q]", values.agrees("reverse"), of_the_kl=True),
    Check("symmetric, their mean", values.agrees("symmetric"), of_the_kl=True),
    Check("unbiased", values.is_unbiased, of_the_kl=True),
    Check("axes of length 1", axes.keep_their_place, of_the_kl=True),
    Check("large values", values.is_not_capped, of_the_kl=True),
    Check("gradient, forward", gradients.are_exact("forward"), of_the_kl=True),
    Check("gradient, reverse", gradients.are_exact("reverse"), of_the_kl=True),
    Check("gradient, symmetric", gradients.are_exact("symmetric"), of_the_kl=True),
    Check("no dead gradients", gradients.has_no_dead_gradients, of_the_kl=True),
    Check("finite at extremes", gradients.is_finite_at_extremes),
    Check("order of the batch", batches.ignores_order),
    Check("size of the batch", batches.ignores_size),
    Check("mask", batches.ignores_a_mask),
    Check("weight 0 leaves out", weights.leave_out_examples),
    Check("equal weights", weights.are_relative),
    Check("scale of weights", weights.have_no_scale),
    Check("weighted mean", weights.weight_the_mean),
    Check("weights, square", weights.align_with_examples),
    Check("all weights 0", weights.may_all_be_zero),
    Check("float16", form.takes_half(tf.float16)),
    Check("bfloat16", form.takes_half(tf.bfloat16)),
    Check("configuration", form.survives_saving),
)


def run(regularizer: KLRegularizer, checks: Sequence[Check] = CHECKS) -> list[CheckResult]:
    """Return the result of each check.

    Raises:
        UserError: if the regularizer does not take the contract's arguments.
    """
    check_signature(regularizer)
    subject = Subject(regularizer)
    return [_result(check, subject) for check in checks]


def _result(check: Check, subject: Subject) -> CheckResult:
    try:
        if check.of_the_kl and not subject.regularizer.estimates_kl:
            raise SkippedError("another divergence on purpose: estimates_kl is False")
        if check.judge is not form.is_scalar and not subject.is_usable:
            raise SkippedError("it does not return a scalar")
        verdict = check.judge(subject)
    except SkippedError as reason:
        return CheckResult(check.name, None, "", "", str(reason))
    except Exception as error:  # a user's class may raise anything
        return CheckResult(check.name, False, "an error", "a value", f"it raised {_in_one_line(error)}")
    return CheckResult(check.name, *(verdict._replace(advice="") if verdict.passed else verdict))


def _in_one_line(error: Exception) -> str:
    """Return an exception's type and message in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # AutoGraph repeats the traceback in the message, and the exception at its end
    return lines[-1] if lines[0] == "in user code:" else f"{type(error).__name__}: {lines[0]}"
