"""Problems of a run, found in its measurements: the cause of each, and the override to try."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vae.runs.quantities import AUDIT, TRAIN, TRAINED, VALIDATION, QuantityName

ACTIVE_NATS = 0.01  # KL per latent variable below which a model counts as collapsed


@dataclass(frozen=True)
class Finding:
    """A problem of a run.

    Args:
        rule: the name of the rule that found it.
        words: the cause and a remedy, in one or two sentences.
    """

    rule: str
    words: str


@dataclass(frozen=True)
class Measurements:
    """The measurements of a run that the rules look at.

    Args:
        summary: the content of summary.json.
        options: the configuration's options by their dotted names.
    """

    summary: Mapping[str, Any]
    options: Mapping[str, Any]

    def audit(self, quantity: str, default: float = 0.0) -> float:
        """Return an audited quantity: the trained regularizer's, or the model's if it is not of a regularizer."""
        values = self.summary.get(AUDIT, {})
        trained = QuantityName(AUDIT, quantity, TRAINED).within_split
        return float(values.get(trained, values.get(quantity, default)))

    @property
    def kl(self) -> float:
        """The canonical KL on the validation split, in nats."""
        return float(self.summary[VALIDATION]["kl"])

    @property
    def beta(self) -> float:
        """The beta of the last epoch."""
        return float(self.summary[TRAIN]["beta"])

    @property
    def final_beta(self) -> float:
        """The beta that the schedule ends with."""
        return float(self.options.get("beta.value", self.beta))

    @property
    def effective_beta(self) -> float:
        """The weight of the canonical KL in the last epoch; NaN if the trained term is not a multiple of it."""
        value = self.summary["effective_beta"]
        return math.nan if value is None else float(value)

    @property
    def scale(self) -> float:
        """The ratio of the regularizer to the canonical KL."""
        return self.effective_beta / self.beta if self.beta else 0.0

    @property
    def latents(self) -> int:
        """The number of latent variables."""
        audited = [name for name in self.summary.get(AUDIT, {}) if name.startswith("kl_per_latent/")]
        return int(self.options.get("latent.size") or len(audited) or 1)

    @property
    def is_collapsed(self) -> bool:
        """True if no latent variable carries information."""
        return 0.0 <= self.kl < ACTIVE_NATS * self.latents or self.audit("active_units", 1.0) == 0.0


def diagnose(summary: Mapping[str, Any], options: Mapping[str, Any]) -> list[Finding]:
    """Return the problems of a run that has completed at least one epoch.

    Args:
        summary: the content of summary.json.
        options: the configuration's options by their dotted names (`{"beta.value": 1.0, ...}`).
    """
    run = Measurements(summary, options)
    return [Finding(name, words) for name, rule in RULES.items() if (words := rule(run))]


def _never_warmed_up(run: Measurements) -> str | None:
    is_warm_up = "beta.length" in run.options and "beta.rising" not in run.options
    if not is_warm_up or run.beta >= 0.99 * run.final_beta:
        return None
    return (
        f"The schedule did not finish its warm-up: beta was {run.beta:.3g} of {run.final_beta:.3g} when training ended,"
        f" so the KL ({run.kl:.1f} nats) had little weight. Try a shorter beta.length, or more trainer.epochs."
    )


def _collapsed_by_weight(run: Measurements) -> str | None:
    if not run.is_collapsed or run.effective_beta <= 1.5:
        return None
    is_scaled = abs(run.scale - 1.0) > 0.05
    cause = "the reduction" if is_scaled else "beta.value"
    remedy = "kl=analytic beta.value=1" if is_scaled else "beta.value=1, or beta=linear"
    return (
        f"Posterior collapse: the KL is {run.kl:.3g} nats because the effective beta is {run.effective_beta:.4g}, "
        f"caused by {cause}. Try {remedy}."
    )


def _collapsed_by_itself(run: Measurements) -> str | None:
    if not run.is_collapsed or not 0.0 < run.effective_beta <= 1.5:
        return None
    return (
        f"Posterior collapse at an effective beta of {run.effective_beta:.3g}, so the weight of the KL is not the "
        f"cause: the decoder ignores z (KL {run.kl:.3g} nats), because using it improves the likelihood too little. "
        "Try objective.free_bits=0.1 or beta=linear; with likelihood=gaussian, a smaller likelihood.scale or 'learned'."
    )


def _hardly_weighed(run: Measurements) -> str | None:
    if not 0.0 < run.scale < 0.5:
        return None
    return (
        f"The weight of the KL was {run.effective_beta:.3g} instead of {run.beta:.3g}: the regularizer is "
        f"{run.scale:.3g} times the canonical KL, which reached {run.kl:.1f} nats. "
        "Try kl.calibrate=true if you use kl=keras_loss; otherwise kl=analytic."
    )


def _negative(run: Measurements) -> str | None:
    value = min(float(run.summary[split]["regularizer"]) for split in (TRAIN, VALIDATION))
    if value >= -1e-3:
        return None
    return (
        f"The regularizer is negative ({value:.3g}), but a KL cannot be: minimizing it rewards leaving the prior. "
        "Its inputs are not probabilities. Try kl=analytic."
    )


def _saturated_histogram(run: Measurements) -> str | None:
    if run.options.get("kl.support") != "histogram" or run.audit("gap") > -0.1 * max(run.kl, 1.0):
        return None
    return (
        f"The histogram is saturated: on the audit's batch it misses {-run.audit('gap'):.1f} nats of the KL, because "
        "posteriors are narrower than its bins or outside of them. Try kl.support=quadrature, or more kl.points."
    )


def _blind(run: Measurements) -> str | None:
    dead = run.audit("dead_gradient_share")
    if dead <= 0.5:
        return None
    return (
        f"The regularizer is blind in most dimensions: {dead:.0%} of its gradient is zero although the exact gradient "
        f"is not ({run.audit('clipped_share'):.0%} of the arguments of its logarithms are clipped). Try kl=analytic."
    )


def _misdirected(run: Measurements) -> str | None:
    cosine = run.audit("gradient_cosine", 1.0)
    is_orthogonal = cosine < 0.1 or (run.beta > 0.0 and run.effective_beta == 0.0)
    if run.audit("dead_gradient_share") > 0.5 or run.is_collapsed or not is_orthogonal:
        return None
    return (
        f"The regularizer does not pull towards the prior: the cosine of its gradient and the exact one is "
        f"{cosine:.2f}, its effective beta is {run.effective_beta:.3g}, and the KL reached {run.kl:.1f} nats. "
        "Try kl=analytic."
    )


#: Each rule returns a sentence if it finds its problem in the measurements.
RULES: dict[str, Callable[[Measurements], str | None]] = {
    "never_warmed_up": _never_warmed_up,
    "collapsed_by_weight": _collapsed_by_weight,
    "collapsed_by_itself": _collapsed_by_itself,
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
