"""Plots of how configurations differ: from a baseline at every epoch, and from the exact KL at the same rate."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from vae.compare.comparison import Comparison
from vae.compare.configurations import by_configuration
from vae.compare.drawing import Styles
from vae.compare.frontier import Frontier, frontier_curve, frontier_gaps, frontiers
from vae.compare.plot import Axis, Panel, Plot, Series
from vae.runs.quantities import QUANTITIES

MAX_CONFIGURATIONS = 16  # that a reader can tell apart
_OF_FRONTIER = {"color": "#666666", "linestyle": "-"}


def difference_plot(
    curves: pd.DataFrame,
    styles: Styles,
    margin: float,
    quantity: str = "elbo",
    runs_of: Mapping[str, Sequence[str]] | None = None,
) -> Plot | None:
    """Plot the difference of each configuration from the baseline at every epoch, with its band.

    Args:
        curves: the table of `difference_curves`.
        styles: those of `configuration_styles`.
        margin: nats within which configurations are equivalent: the grey stripe.
        quantity: what the curves are of, a key of `QUANTITIES`.
        runs_of: the names of each configuration's runs; None for no names.
    """
    groups = [(name, group) for name, group in by_configuration(curves) if group["difference"].notna().any()]
    groups = groups[:MAX_CONFIGURATIONS]
    if not groups:
        return None
    panels = []
    for name, group in groups:
        points = group[["epoch", "difference", "low", "high"]].set_axis(["x", "y", "low", "high"], axis=1)
        panels.append(Panel(name, [Series(name, points, styles[name], runs=(runs_of or {}).get(name, ()))]))
    meaning, shown = QUANTITIES[quantity], pd.concat([group["difference"] for _, group in groups])
    y, unit, equivalent = Axis(meaning.title, margin=0.0), "", ""
    if meaning.in_nats:
        limits = (2 * min(shown.min(), -margin), 2 * max(shown.max(), margin))
        y, unit = Axis("nats per image", "symlog", 2 * margin, limits, margin), " nats"
        equivalent = f"; within the grey stripe, of {margin:g} nats, is equivalent"
    good = {"higher": "Above 0 is better than the baseline", "lower": "Below 0 is better than the baseline"}
    name, curve = groups[0]
    end = curve.iloc[-1]
    description = (
        f"The difference of each configuration's {meaning.title} from the baseline's, paired by seed: the mean, and a "
        f"band that holds the whole curve with 95 %. {good.get(meaning.better or '', '0 is as the baseline')}"
        f"{equivalent}. {name}: {end['difference']:+.3g}{unit} at epoch {end['epoch']:.0f}."
    )
    title = f"{meaning.title} minus the baseline's at the same seed, with a 95 % band"
    return Plot("differences", title, description, Axis("epoch"), y, panels, curves)


def frontier_plots(runs: pd.DataFrame | Comparison, styles: Styles, margin: float) -> list[Plot]:
    """Plot the frontier of the exact KL with the other terms beside it, and their gaps; nothing without a frontier.

    Args:
        runs: the table of `load_runs`, or a comparison.
        styles: those of `configuration_styles`.
        margin: nats within which a term lies on the frontier: the grey stripe.
    """
    found = frontiers(runs)
    gaps = frontier_gaps(runs) if found else pd.DataFrame({"gap": []})
    if gaps["gap"].isna().all():
        return []
    frontier = max(found, key=lambda one: len(one.others))  # of the conditions with most other terms
    gaps = gaps[gaps["configuration"].isin(frontier.others["configuration"]) & gaps["gap"].notna()]
    gaps = gaps.iloc[:MAX_CONFIGURATIONS]
    return [_frontier_plot(frontier, gaps, styles), _gap_plot(gaps, styles, margin)]


def _frontier_plot(frontier: Frontier, gaps: pd.DataFrame, styles: Styles) -> Plot:
    betas = frontier.points.groupby("beta")[["rate", "distortion"]].mean().sort_values("rate").reset_index()
    curve = frontier_curve(betas)
    rates = np.geomspace(betas["rate"].min(), betas["rate"].max(), 200)
    line = pd.DataFrame({"x": rates, "y": [curve(rate) for rate in rates]})
    dots = betas.set_axis(["text", "x", "y"], axis=1).assign(text=betas["beta"].map("{:g}".format))
    series = [
        Series("exact KL, over beta", line, _OF_FRONTIER),
        Series("", dots, _OF_FRONTIER, "dots"),
    ]
    for name in gaps["configuration"]:
        runs_of_it = frontier.others[frontier.others["configuration"] == name]
        points = runs_of_it[["rate", "distortion"]].set_axis(["x", "y"], axis=1).rename_axis("run").reset_index()
        series.append(Series(name, points, styles[name], "crosses"))
    description = (
        "Reconstruction against KL at the end of training. The line is the exact KL with other weights; each dot is a "
        "beta. A cross on the line is a term of which only the weight is another; one above it is worse at the same "
        "rate."
    )
    return Plot(
        "frontier",
        "The weight or the term? Rate-distortion frontier of the exact KL over beta",
        description,
        Axis("rate: canonical KL, nats", "log"),
        Axis("distortion: -log p(x|z), nats", "log"),
        [Panel("", series)],
        pd.concat([frontier.points, frontier.others])[["configuration", "seed", "beta", "rate", "distortion"]],
    )


def _gap_plot(gaps: pd.DataFrame, styles: Styles, margin: float) -> Plot:
    series = []
    for place, (name, gap, interval) in enumerate(gaps[["configuration", "gap", "interval"]].itertuples(index=False)):
        points = pd.DataFrame({"x": [gap], "y": [place], "low": [gap - interval], "high": [gap + interval]})
        series.append(Series(name, points, styles[name], "intervals"))
    ends = pd.concat([gaps["gap"] - gaps["interval"].fillna(0.0), gaps["gap"] + gaps["interval"].fillna(0.0)])
    x = Axis(
        "frontier gap: nats worse than the exact KL at the same rate",
        "symlog",
        2 * margin,
        (1.2 * min(ends.min(), -2 * margin), 1.2 * max(ends.max(), 2 * margin)),
        margin,
    )
    worst = gaps.iloc[-1]
    description = (
        f"The frontier gap of each term with its 95 % interval; within the grey stripe, of {margin:g} nats, it is on "
        f"the frontier. The largest: {worst['configuration']}, {worst['gap']:+.3g} nats."
    )
    y = Axis("", names=[*gaps["configuration"]])
    return Plot("frontier_gaps", "Frontier gaps", description, x, y, [Panel("", series)], gaps)
