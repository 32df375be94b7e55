"""The sentence that follows from a difference between two configurations."""

from dataclasses import dataclass

import pandas as pd

from vae.runs.measurements import SAME_DIRECTION
from vae.runs.quantities import QUANTITIES


@dataclass(frozen=True)
class Difference:
    """The difference of a configuration from a baseline in one quantity.

    Args:
        quantity: the quantity, a key of `QUANTITIES`.
        mean: the mean of the differences over the shared seeds.
        interval: half the width of its confidence interval.
        seeds: the number of shared seeds.
        only_weight_differs: True if the configurations differ only in options that change the weight of the KL.
    """

    quantity: str
    mean: float
    interval: float
    seeds: int
    only_weight_differs: bool


def sentence(row: pd.Series, baseline: pd.Series, difference: Difference) -> str:
    """Return the conclusion in words. It claims nothing if there are fewer than two shared seeds.

    Args:
        row: the configuration's row of `compare`, indexed by `configuration`.
        baseline: the baseline's row.
        difference: the difference between them.
    """
    name, other = row.name, baseline.name
    mean, interval, seeds = difference.mean, difference.interval, difference.seeds
    if seeds < 2:
        return f"{name}: not enough shared seeds to compare with {other} ({seeds}; at least 2 needed)."
    if abs(mean) <= interval:
        return f"{name}: no difference from {other} beyond noise ({mean:+.3g} ± {interval:.2g}, {seeds} seeds)."
    quantity = QUANTITIES[difference.quantity]
    direction = "higher" if mean > 0 else "lower"
    verdict = {None: direction, direction: "better"}.get(quantity.better, "worse")
    unit = "nats " if quantity.in_nats else ""
    is_cause = difference.only_weight_differs and verdict == "worse"
    reason = _reason(row, baseline, is_cause) if quantity.is_criterion else ""
    amount = f"{abs(mean):.3g} ± {interval:.2g}" if abs(mean) < 1000 else f"{abs(mean):.0f} ± {interval:.0f}"
    return f"{name}: {amount} {unit}{verdict} than {other}{reason} ({seeds} seeds)."


def _reason(row: pd.Series, baseline: pd.Series, may_be_cause: bool) -> str:
    """Name the effective beta if it differs: as the cause only if the gradient has the KL's direction."""
    beta, residual = row["effective_beta"], row["residual_share"]
    if residual > SAME_DIRECTION >= baseline["residual_share"]:
        return f", with {residual:.0%} of its squared gradient in other directions than the KL's"
    if abs(beta - baseline["effective_beta"]) > 0.05 * abs(baseline["effective_beta"]):
        because = "because it trained" if may_be_cause and residual <= SAME_DIRECTION else "trained"
        return f", {because} at an effective beta of {beta:.3g}"
    return ""
