"""Plots of how configurations differ: from a baseline at every epoch, and from the exact KL at the same rate."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from vae.compare.drawing import (
    LINE,
    MAX_CONFIGURATIONS,
    WIDTH,
    Plot,
    Styles,
    by_configuration,
    label_of,
    marker,
    new_panels,
    set_style,
)
from vae.compare.frontier import frontier_curve, frontier_gaps, frontiers


def draw_differences(curves: pd.DataFrame, styles: Styles, margin: float) -> Plot | None:
    """Plot the difference of each configuration's ELBO from the baseline's at every epoch, with its band.

    Args:
        curves: the table of `difference_curves`.
        styles: those of `configuration_styles`.
        margin: nats within which configurations are equivalent: the grey stripe.
    """
    groups = [(name, group) for name, group in by_configuration(curves) if group["difference"].notna().any()]
    groups = groups[:MAX_CONFIGURATIONS]
    if not groups:
        return None
    figure, grid = new_panels(len(groups), "ELBO minus the baseline's at the same seed, with a 95 % band", sharey=True)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("nats per image", fontsize=10)
    for axes, (configuration, group) in zip(grid, groups, strict=False):
        style = styles[configuration]
        axes.axhspan(-margin, margin, color="0.5", alpha=0.25, linewidth=0)
        axes.axhline(0.0, color="0.4", linewidth=0.8)
        axes.fill_between(group["epoch"], group["low"], group["high"], color=style["color"], alpha=0.25, linewidth=0)
        axes.plot(group["epoch"], group["difference"], marker=marker(group), **style)
        axes.set_title(label_of(configuration, LINE // 2), fontsize=8, loc="left")
    shown = pd.concat([group["difference"] for _, group in groups])
    grid[0].set_yscale("symlog", linthresh=2 * margin)
    grid[0].set_ylim(2 * min(shown.min(), -margin), 2 * max(shown.max(), margin))
    grid[0].yaxis.set_major_formatter("{x:g}")
    ends = groups[0][1].iloc[-1]
    description = (
        "The difference of each configuration's validation ELBO from the baseline's, paired by seed: the mean, and a "
        "band that holds the whole curve with 95 %. Above 0 is better than the baseline; within the grey stripe, of "
        f"{margin:g} nats, is equivalent. {groups[0][0]}: {ends['difference']:+.3g} nats at epoch {ends['epoch']:.0f}."
    )
    return Plot("differences", figure, description, curves)


def draw_frontier(runs: pd.DataFrame, styles: Styles, margin: float) -> Plot | None:
    """Plot the frontier of the exact KL, the other terms beside it, and their gaps; None without a frontier.

    Args:
        runs: the table of `load_runs`.
        styles: those of `configuration_styles`.
        margin: nats within which a term lies on the frontier: the grey stripe.
    """
    gaps, found = frontier_gaps(runs), frontiers(runs)
    if not found or gaps["gap"].isna().all():
        return None
    frontier = max(found, key=lambda one: len(one.others))  # of the conditions with most other terms
    points = frontier.points.groupby("beta")[["rate", "distortion"]].mean().sort_values("rate")
    gaps = gaps[gaps["configuration"].isin(frontier.others["configuration"]) & gaps["gap"].notna()]
    gaps = gaps.iloc[:MAX_CONFIGURATIONS]
    figure = Figure(figsize=(WIDTH, 4.4 + 0.28 * len(gaps)), layout="constrained")
    upper, lower = figure.subplots(2, 1, gridspec_kw={"height_ratios": [3.4, 0.6 + 0.28 * len(gaps)]})
    figure.suptitle("The weight or the term? Rate-distortion frontier of the exact KL over beta", fontsize=11)
    for axes in (upper, lower):
        set_style(axes)
    rates = np.geomspace(points["rate"].min(), points["rate"].max(), 200)
    curve = frontier_curve(points.reset_index())
    upper.plot(rates, [curve(rate) for rate in rates], color="0.4", linewidth=1.2, label="exact KL, over beta")
    upper.scatter(points["rate"], points["distortion"], color="0.4", s=14)
    for beta, point in points.iterrows():
        upper.annotate(
            f"{beta:g}", (point["rate"], point["distortion"]), (3, 4), textcoords="offset points", fontsize=7
        )
    for place, (_, gap) in enumerate(gaps.iterrows()):
        color = styles[gap["configuration"]]["color"]
        runs_of_it = frontier.others[frontier.others["configuration"] == gap["configuration"]]
        upper.scatter(runs_of_it["rate"], runs_of_it["distortion"], color=color, s=22, marker="x", zorder=3)
        lower.errorbar(gap["gap"], place, xerr=gap["interval"], color=color, marker="x", capsize=3)
    upper.set(xscale="log", yscale="log", xlabel="rate: canonical KL, nats", ylabel="distortion: -log p(x|z), nats")
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.4)))
    upper.legend(fontsize=8, frameon=False)
    lower.axvspan(-margin, margin, color="0.5", alpha=0.25, linewidth=0)
    lower.axvline(0.0, color="0.4", linewidth=0.8)
    names = [label_of(textwrap.shorten(name, LINE // 2)) for name in gaps["configuration"]]
    lower.set_yticks(range(len(gaps)), names, fontsize=8)
    lower.set_xscale("symlog", linthresh=2 * margin)
    lower.xaxis.set_major_formatter("{x:g}")
    lower.set_xlim(min(lower.get_xlim()[0], -2 * margin), max(lower.get_xlim()[1], 2 * margin))
    lower.set_xlabel("frontier gap: nats worse than the exact KL at the same rate", fontsize=9)
    lower.invert_yaxis()
    worst = gaps.iloc[-1]
    description = (
        "Reconstruction against KL at the end of training. The line is the exact KL with other weights; each dot is a "
        "beta. A cross on the line is a term of which only the weight is another; one above it is worse at the same "
        "rate. Below, the gap of each with its 95 % interval. The largest: "
        f"{worst['configuration']}, {worst['gap']:+.3g} nats."
    )
    return Plot("frontier", figure, description, gaps)
