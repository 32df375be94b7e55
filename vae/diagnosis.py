"""Problems of a run, found in its measurements: the cause of each, and the override to try."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae.runs.measurements import ERRORS, Measurements

# The thresholds. Figures are of the runs called "tuning" in benchmarks/diagnosis.py
# Nats per image, in all latent variables. z tells at most KL nats about an image: here less than a third of a bit.
# Collapsed runs have up to 0.15, healthy ones 0.7 or more.
COLLAPSED = 0.2
# Relative; up to it two weights count as one, as in the warning before training.
WEIGHT_TOLERANCE = 0.05
# The geometric mean of 1 and of 1/2, which is the largest weight that a mean over latent variables can hide.
HARDLY_WEIGHED = 0.7
# For another divergence: local weight of the KL, and gradient ratio. jensen_shannon on grey images has 0.08 and 0.01,
# mmd at beta 1000 anything around 0 and 7, at beta 1 0.01 and 0.06. So both must be small.
NO_WEIGHT, NO_PULL = 0.03, 0.1
# Share of the squared gradient: nine times as much in other directions as in the KL's.
OTHER_DIRECTIONS = 0.9
# Share of the KL. The default histogram misses up to 2 %, saturated ones more than 60 %.
MISSED = 0.1
# Nats; sums in float32 over hundreds of latent variables are off by less.
NEGATIVE = -0.05
# Share of the gradient's entries: most.
DEAD = 0.5


@dataclass(frozen=True)
class Finding:
    """A problem of a run.

    Args:
        rule: the name of the rule that found it.
        words: the cause and a remedy, in one or two sentences.
    """

    rule: str
    words: str


def diagnose(summary: Mapping[str, Any], options: Mapping[str, Any]) -> list[Finding]:
    """Return the problems of a run that has completed at least one epoch.

    Args:
        summary: the content of summary.json.
        options: the configuration's options by their dotted names (`{"beta.value": 1.0, ...}`).
    """
    run = Measurements(summary, options)
    return [Finding(name, words) for name, rule in RULES.items() if (words := rule(run))]


def diagnose_if_whole(summary: Mapping[str, Any], options: Mapping[str, Any], path: Path) -> list[Finding] | None:
    """Return the problems of a run, or None with a warning if its figures, which a stranger may have sent, are damaged.

    Args:
        summary: as for `diagnose`.
        options: as for `diagnose`.
        path: the file that the figures are from.
    """
    try:
        return diagnose(summary, options)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        warnings.warn(f"{path}: its figures are damaged; the run is not diagnosed", stacklevel=2)
        return None


def _never_warmed_up(run: Measurements) -> str | None:
    is_warm_up = "beta.length" in run.options and "beta.rising" not in run.options
    if not is_warm_up or run.beta >= 0.99 * run.final_beta:
        return None
    return (
        f"The schedule did not finish its warm-up: beta was {run.beta:.3g} of {run.final_beta:.3g} when training ended "
        f"(KL {run.kl:.3g} nats). Try a shorter beta.length, or more trainer.epochs."
    )


def _collapsed_by_weight(run: Measurements) -> str | None:
    if not (_is_collapsed(run) and run.weight > 1.0 + WEIGHT_TOLERANCE):
        return None
    is_scaled = abs(run.weight - run.beta) > WEIGHT_TOLERANCE * run.beta
    cause, remedy = "beta.value", "beta.value=1, or beta=linear"
    if is_scaled:
        cause = f"beta {run.beta:.4g} times {run.weight / run.beta:.4g} of the regularizer"
        remedy = "kl=analytic beta.value=1"
    return (
        f"Posterior collapse: the KL is {run.kl:.3g} nats at {_weight_in_words(run)} ({cause}); the ELBO's is 1. "
        f"Try {remedy}."
    )


def _collapsed_by_itself(run: Measurements) -> str | None:
    if not _is_collapsed(run) or not 0.0 <= run.weight <= 1.0 + WEIGHT_TOLERANCE:
        return None
    return (
        f"Posterior collapse: the KL is {run.kl:.3g} nats at {_weight_in_words(run)}, not more than the ELBO's, so "
        "beta is not too large: the decoder ignores z. Try objective.free_bits=0.1 or beta=linear; with "
        "likelihood=gaussian, a smaller likelihood.scale or 'learned'."
    )


def _collapsed_at_unknown_weight(run: Measurements) -> str | None:
    if not _is_collapsed(run) or not math.isnan(run.weight):
        return None
    remedy = "kl=analytic, whose weight is beta"
    if math.isnan(run.audit("local_weight")):
        remedy = "audit=default, which measures the weight"
    return (
        f"Posterior collapse: the KL is {run.kl:.3g} nats at a weight that is not known: beta ({run.beta:.4g}) may be "
        f"too large, or the decoder may ignore z. Try {remedy}."
    )


def _hardly_weighed(run: Measurements) -> str | None:
    if _is_blind(run) or _is_misdirected(run) or _is_collapsed(run):
        return None
    if run.is_another_divergence:
        return _hardly_pulls(run)
    if not 0.0 < run.scale < HARDLY_WEIGHED - ERRORS * run.scale_error:
        return None
    weight = run.scale * run.beta * (run.audit("gradient_cosine") if run.is_exact else 1.0)
    return (
        f"The weight of the KL was {weight:.3g} instead of {run.beta:.3g}: the regularizer pulls "
        f"{run.scale:.3g} times as strongly as the exact KL, which reached {run.kl:.1f} nats. "
        "Try kl.calibrate=true if you use kl=keras_loss; otherwise kl=analytic."
    )


def _hardly_pulls(run: Measurements) -> str | None:
    largest_weight = run.audit("local_weight") + ERRORS * run.audit("local_weight_error", 0.0)
    ratio = run.audit("gradient_ratio")
    if run.beta < 1.0 or not (largest_weight < NO_WEIGHT and ratio < NO_PULL):
        return None
    return (
        f"The regularizer hardly counted: times beta, its gradient at the encoder's output is {ratio:.2g} times as "
        f"long as the reconstruction's, and the KL reached {run.kl:.1f} nats. Try a larger beta.value, such as 1000 "
        "for kl=mmd."
    )


def _negative(run: Measurements) -> str | None:
    if not run.is_exact or run.regularizer >= NEGATIVE:
        return None
    return (
        f"The regularizer is negative ({run.regularizer:.3g}) without drawing samples, and a divergence cannot be: "
        "minimizing it rewards leaving the prior. Try kl=analytic."
    )


def _saturated_histogram(run: Measurements) -> str | None:
    is_comparable = run.options.get("kl.support") == "histogram" and run.direction == "forward"
    if not is_comparable or _is_collapsed(run) or not run.missed_share > MISSED:
        return None
    return (
        f"The histogram is saturated: on the audit's batch it misses {run.missed_share:.0%} of the KL, because "
        "posteriors are narrower than its bins or outside of them. Try kl.support=quadrature, or more kl.points."
    )


def _blind(run: Measurements) -> str | None:
    if not _is_blind(run):
        return None
    return (
        f"The regularizer is blind in most dimensions: {run.audit('dead_gradient_share'):.0%} of its gradient is zero "
        f"although the exact gradient is not ({run.audit('clipped_share', 0.0):.0%} of the arguments of its logarithms "
        "are clipped). Try kl=analytic."
    )


def _misdirected(run: Measurements) -> str | None:
    if _is_blind(run) or _is_collapsed(run) or not _is_misdirected(run):
        return None
    measured = f"the cosine of its gradient and the exact one is {run.audit('gradient_cosine'):.2f}"
    if run.is_estimate:
        measured = f"it gives the KL a local weight of {run.audit('local_weight'):.3g}"
    return (
        f"The regularizer hardly pulls towards the prior: {measured}, and the KL reached {run.kl:.1f} nats. "
        "Try kl=analytic."
    )


def _weight_in_words(run: Measurements) -> str:
    has_effective_beta = not math.isnan(run.effective_beta)
    return f"{'an effective beta' if has_effective_beta else 'a local weight'} of {run.weight:.4g}"


def _is_collapsed(run: Measurements) -> bool:
    """Return True if z tells hardly anything about an image: the mutual information is at most the KL."""
    return run.kl < COLLAPSED


def _is_blind(run: Measurements) -> bool:
    """Return True if in most dimensions the regularizer has no gradient where the KL has one."""
    return run.audit("dead_gradient_share") > DEAD


def _is_misdirected(run: Measurements) -> bool:
    """Return True if a regularizer that is meant to be a KL does not pull towards the prior.

    D[p || q] has another gradient than D[q || p] by its nature, and so has total correlation: only a push away from the
    prior counts there.
    """
    if run.is_another_divergence:
        return False
    if run.is_exact:
        least = math.sqrt(1.0 - OTHER_DIRECTIONS) if run.direction == "forward" else 0.0
        return run.audit("gradient_cosine") < least
    return run.has_plain_objective and run.audit("local_weight") < -ERRORS * run.audit("local_weight_error")


#: Each rule returns a sentence if it finds its problem in the measurements.
RULES: dict[str, Callable[[Measurements], str | None]] = {
    "never_warmed_up": _never_warmed_up,
    "collapsed_by_weight": _collapsed_by_weight,
    "collapsed_by_itself": _collapsed_by_itself,
    "collapsed_at_unknown_weight": _collapsed_at_unknown_weight,
    "hardly_weighed": _hardly_weighed,
    "negative": _negative,
    "saturated_histogram": _saturated_histogram,
    "blind": _blind,
    "misdirected": _misdirected,
}


def format_findings(findings: Iterable[Finding]) -> str:
    """Return the findings as lines for a terminal."""
    lines = [f"diagnosis  {finding.words}" for finding in findings]
    return "\n".join(lines or ["diagnosis  no problems found"])
