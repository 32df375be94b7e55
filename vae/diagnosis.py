"""What a run's figures mean, in words: the cause, and the override to try."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ACTIVE_NATS = 0.01  # a latent variable below this says nothing


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a run.

    Args:
        rule: its short name.
        words: the cause and what to try, in one or two sentences.
    """

    rule: str
    words: str


@dataclass(frozen=True)
class Figures:
    """What the rules look at.

    Args:
        summary: what summary.json holds.
        options: the configuration's options by their dotted names.
    """

    summary: Mapping[str, Any]
    options: Mapping[str, Any]

    def audit(self, quantity: str, otherwise: float = 0.0) -> float:
        """A quantity of the trained regularizer in the audit, or of the model where the quantity is its own."""
        found = self.summary.get("audit", {})
        return float(found.get(f"{quantity}/trained", found.get(quantity, otherwise)))

    @property
    def kl(self) -> float:
        """The canonical KL on the validation split, in nats."""
        return float(self.summary["validation"]["kl"])

    @property
    def effective_beta(self) -> float:
        """The weight that training used at the end."""
        return float(self.summary["effective_beta"])

    @property
    def scale(self) -> float:
        """The regularizer against the canonical KL."""
        beta = float(self.summary["train"]["beta"])
        return self.effective_beta / beta if beta else 0.0

    @property
    def latents(self) -> int:
        """How many latent variables there are."""
        return int(self.options["latent.size"])

    @property
    def beta_wanted(self) -> float:
        """Beta as it was asked for, once a schedule has come to its end."""
        return float(self.options.get("beta.value", self.summary["train"]["beta"]))

    @property
    def is_collapsed(self) -> bool:
        """Whether no latent variable says anything."""
        return 0.0 <= self.kl < ACTIVE_NATS * self.latents or self.audit("active_units", 1.0) == 0.0


def diagnose(summary: Mapping[str, Any], options: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with a run that has at least an epoch behind it; empty where nothing is.

    Args:
        summary: what summary.json holds.
        options: the configuration's options by their dotted names (`{"beta.value": 1.0, ...}`).
    """
    figures = Figures(summary, options)
    return [Finding(name, words) for name, rule in RULES.items() if (words := rule(figures))]


def _never_warmed_up(figures: Figures) -> str | None:
    value, beta = figures.beta_wanted, float(figures.summary["train"]["beta"])
    if "beta.length" not in figures.options or "beta.rising" in figures.options or beta >= 0.99 * value:
        return None
    return (
        f"The schedule never warmed up: beta came to {beta:.3g} of {value:.3g} when training ended, so that the KL "
        f"({figures.kl:.1f} nats) was hardly weighed. Try a shorter beta.length, or more trainer.epochs."
    )


def _collapsed_by_weight(figures: Figures) -> str | None:
    if not figures.is_collapsed or figures.effective_beta <= 1.5:
        return None
    cause = "because of the reduction" if abs(figures.scale - 1.0) > 0.05 else "because of beta.value"
    remedy = "kl=analytic beta.value=1" if abs(figures.scale - 1.0) > 0.05 else "beta.value=1, or beta=linear"
    return (
        f"Posterior collapse: the KL is {figures.kl:.3g} nats, because the effective beta is "
        f"{figures.effective_beta:.4g}, {cause}. Try {remedy}."
    )


def _collapsed_by_itself(figures: Figures) -> str | None:
    if not figures.is_collapsed or not 0.0 < figures.effective_beta <= 1.5:
        return None
    return (
        f"Posterior collapse at an effective beta of {figures.effective_beta:.3g}, where it is no mistake of the KL: "
        f"the decoder ignores z (KL {figures.kl:.3g} nats), and the likelihood rewards it for nothing else. Try "
        "objective.free_bits=0.1 or beta=linear; with likelihood=gaussian, a smaller likelihood.scale or 'learned'."
    )


def _hardly_weighed(figures: Figures) -> str | None:
    if not 0.0 < figures.scale < 0.5:
        return None
    return (
        f"The KL was weighed {figures.effective_beta:.3g} instead of {figures.summary['train']['beta']:.3g}: the "
        f"regularizer is {figures.scale:.3g} times the canonical KL, which came to {figures.kl:.1f} nats. For "
        "kl=keras_loss try kl.calibrate=true; otherwise kl=analytic."
    )


def _negative(figures: Figures) -> str | None:
    value = min(float(figures.summary[split]["regularizer"]) for split in ("train", "validation"))
    if value >= -1e-3:
        return None
    return (
        f"The regularizer is negative ({value:.3g}), which no KL can be: minimising it rewards leaving the prior. It "
        "was given what are no probabilities. Try kl=analytic."
    )


def _saturated_histogram(figures: Figures) -> str | None:
    if figures.options.get("kl.support") != "histogram" or figures.audit("gap") > -0.1 * max(figures.kl, 1.0):
        return None
    return (
        f"The histogram is saturated: on the audit's batch it misses {-figures.audit('gap'):.1f} nats of the KL, "
        "because posteriors are narrower than its bins or outside of them. Try kl.support=quadrature, or a larger "
        "kl.points."
    )


def _blind(figures: Figures) -> str | None:
    dead = figures.audit("dead_gradient_share")
    if dead <= 0.5:
        return None
    return (
        f"The regularizer is blind in most dimensions: {dead:.0%} of its gradient is zero where the exact one is not"
        f" ({figures.audit('clipped_share'):.0%} of the numbers that it takes the logarithm of are clipped). "
        "Try kl=analytic."
    )


def _misdirected(figures: Figures) -> str | None:
    cosine = figures.audit("gradient_cosine", 1.0)
    blind_to_distance = float(figures.summary["train"]["beta"]) > 0.0 and figures.effective_beta == 0.0
    if figures.audit("dead_gradient_share") > 0.5 or figures.is_collapsed or not (cosine < 0.1 or blind_to_distance):
        return None
    return (
        f"The regularizer does not pull towards the prior: its gradient has a cosine of {cosine:.2f} with the exact "
        f"one's, its effective beta is {figures.effective_beta:.3g}, and the KL came to {figures.kl:.1f} nats. "
        "Try kl=analytic."
    )


#: Each rule looks at the figures, and says what it finds or nothing.
RULES: dict[str, Callable[[Figures], str | None]] = {
    "never_warmed_up": _never_warmed_up,
    "collapsed_by_weight": _collapsed_by_weight,
    "collapsed_by_itself": _collapsed_by_itself,
    "hardly_weighed": _hardly_weighed,
    "negative": _negative,
    "saturated_histogram": _saturated_histogram,
    "blind": _blind,
    "misdirected": _misdirected,
}


def in_words(findings: Iterable[Finding]) -> str:
    """The findings as lines for a terminal."""
    lines = [f"diagnosis  {finding.words}" for finding in findings]
    return "\n".join(lines or ["diagnosis  nothing that these figures would show is wrong"])
