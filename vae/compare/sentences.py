"""The sentence that follows from a difference between two configurations."""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vae.compare.inference import MOST_SEEDS, Judgement, Verdict
from vae.runs.measurements import SAME_DIRECTION
from vae.runs.quantities import QUANTITIES
from vae.runs.summary import Status


@dataclass(frozen=True)
class Difference:
    """The difference of a configuration from a baseline in one quantity.

    Args:
        quantity: the quantity, a key of `QUANTITIES`.
        judgement: the mean over the shared seeds, and what they say about it.
        margin: nats within which configurations are equivalent.
        only_weight_differs: True if the configurations differ only in options that change the weight of the KL.
        at: the epoch of each run that was compared: its "last", or its "best" by the validation ELBO.
    """

    quantity: str
    judgement: Judgement
    margin: float
    only_weight_differs: bool
    at: str = "last"


def sentence(row: pd.Series, baseline: pd.Series, difference: Difference) -> str:
    """Return the conclusion in words. It claims nothing if there are fewer than two shared seeds.

    Args:
        row: the configuration's row of `compare`, indexed by `configuration`.
        baseline: the baseline's row.
        difference: the difference between them.
    """
    name, other, judgement = row.name, baseline.name, difference.judgement
    mean, interval, seeds = judgement.mean, judgement.interval, judgement.seeds
    if seeds < 2:
        return f"{name}: not enough shared seeds to compare with {other} ({seeds}; at least 2 needed)."
    is_unfinished = is_rising(row, difference.margin) or is_rising(baseline, difference.margin)
    at = ", each at its best epoch" if difference.at == "best" else ""
    in_brackets = f"{seeds} seeds{at}{', so far' if is_unfinished else ''}"
    if judgement.verdict == Verdict.EQUIVALENT:
        within = f"within {difference.margin:g} nats"
        return f"{name}: equivalent to {other} {within} ({plus_minus(mean, interval)}, {in_brackets})."
    if judgement.verdict == Verdict.OPEN:
        number = f"more than {MOST_SEEDS}" if judgement.more_seeds is None else f"about {judgement.more_seeds}"
        further = f"{number} more {'seed' if judgement.more_seeds == 1 else 'seeds'} would tell"
        return f"{name}: cannot tell yet from {other} ({plus_minus(mean, interval)}, {in_brackets}); {further}."
    quantity = QUANTITIES[difference.quantity]
    direction = "higher" if mean > 0 else "lower"
    comparative = {None: direction, direction: "better"}.get(quantity.better, "worse")
    unit = "nats " if quantity.in_nats else ""
    is_cause = difference.only_weight_differs and comparative == "worse"
    reason = _reason(row, baseline, is_cause) if quantity.is_criterion else ""
    amount = plus_minus(abs(mean), interval, signed=False)
    return f"{name}: {amount} {unit}{comparative} than {other}{reason} ({in_brackets})."


def plus_minus(mean: float, interval: float, signed: bool = True) -> str:
    """Return a mean and half the width of its interval, which has two digits that count."""
    decimals = 2 if not interval > 0.0 else max(0, 1 - math.floor(math.log10(interval)))
    return f"{mean:{'+' if signed else ''}.{decimals}f} ± {interval:.{decimals}f}"


def family_note(found: pd.DataFrame, margin: float, of: str) -> str:
    """Return what the verdicts of a table mean together.

    Args:
        found: the table of `differences` or of `frontier_gaps`.
        margin: as for them.
        of: what the verdicts are on, in the plural.
    """
    claims = int(found[["p_value", "equivalence_p_value"]].count().sum())
    return (
        f"All verdicts on {of} together are right with 95 %: {claims} possible claims (a difference; equivalence "
        f"within {margin:g} nats), corrected by Holm's method. ± is half of a 95 % interval, of each figure alone."
    )


def is_rising(table: pd.DataFrame | pd.Series, margin: float) -> Any:
    """Return, for each configuration, whether its ELBO rose by more than the margin over the last fifth of its epochs.

    Args:
        table: the table of `compare`, or a row of it.
        margin: nats.
    """
    return table["late_rise"] > margin


def unfinished_note(table: pd.DataFrame, margin: float) -> list[str]:
    """Return a sentence that names the configurations whose ELBO still rises; none if there are none.

    Args:
        table: the table of `compare`, indexed by `configuration`.
        margin: as for `is_rising`.
    """
    rises = table["rise"][is_rising(table, margin)]
    if rises.empty:
        return []
    named = ", ".join(f"{name} ({rise:+.2g})" for name, rise in rises.items())
    return [f"So far: the ELBO still rises, in nats an epoch, of {named}. More epochs may change these verdicts."]


def restored_note(last: pd.DataFrame) -> list[str]:
    """Return a sentence that names the configurations whose measured weights are not those of their ELBO, or none.

    Early stopping restores the weights of an earlier epoch, and `evaluate.py` measures these.

    Args:
        last: the table of `last_epochs`.
    """
    is_measured = last.filter(like="evaluation/").notna().any(axis=1)
    steps = last.reindex(columns=["model_steps", "steps"]).apply(pd.to_numeric, errors="coerce")
    is_restored = (last["status"] == Status.FINISHED) & (steps["model_steps"] < steps["steps"])
    names = last["configuration"][is_measured & is_restored].drop_duplicates()
    if names.empty:
        return []
    return [
        f"Early stopping restored the weights of an earlier epoch in {', '.join(names)}: the NLL, and whatever else "
        "was measured after training, is of these weights, but the ELBO is of the last epoch."
    ]


def _reason(row: pd.Series, baseline: pd.Series, may_be_cause: bool) -> str:
    """Name the effective beta if it differs: as the cause only if the gradient has the KL's direction."""
    beta, residual = row["effective_beta"], row["residual_share"]
    if residual > SAME_DIRECTION >= baseline["residual_share"]:
        return f", with {residual:.0%} of its squared gradient in other directions than the KL's"
    if abs(beta - baseline["effective_beta"]) > 0.05 * abs(baseline["effective_beta"]):
        because = "because it trained" if may_be_cause and residual <= SAME_DIRECTION else "trained"
        return f", {because} at an effective beta of {beta:.3g}"
    return ""
