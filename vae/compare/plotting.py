"""Plots of a comparison, each with a description in words and its data."""

import contextlib

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.image import imread

from vae.compare.configurations import last_epochs
from vae.compare.difference_plots import draw_differences, draw_frontier
from vae.compare.drawing import (
    LINE,
    MAX_CONFIGURATIONS,
    WIDTH,
    Plot,
    Styles,
    by_configuration,
    configuration_styles,
    draw_legend,
    label_of,
    marker,
    new_axes,
    new_panels,
)
from vae.compare.inference import MARGIN
from vae.compare.pairs import difference_curves
from vae.compare.table import compare
from vae.runs.paths import RunDirectory
from vae.runs.quantities import AUDIT, QUANTITIES, TRAINED, QuantityName, comparison_columns


def draw_plots(runs: pd.DataFrame, baseline: str | None = None, margin: float = MARGIN) -> list[Plot]:
    """Return all plots that the runs have the quantities for, of the best sixteen configurations.

    Args:
        runs: the table of `load_runs`.
        baseline: as for `differences`.
        margin: as for `differences`.
    """
    table = compare(runs)
    best = table["configuration"][:MAX_CONFIGURATIONS]
    styles = configuration_styles(table["configuration"])
    named = runs.merge(last_epochs(runs)[["run", "configuration"]].reset_index(drop=True), on="run")
    named = named[named["configuration"].isin(best)].replace([np.inf, -np.inf], np.nan)
    named = named[named["epoch"].notna()] if "epoch" in named else named.iloc[:0]
    if named.empty:
        return []
    plots = [
        draw_differences(difference_curves(runs, baseline), styles, margin),
        draw_frontier(runs, styles, margin),
        _curves(named, styles, "step", "training steps", "elbo_by_step"),
        _curves(named, styles, "seconds", "seconds", "elbo_by_seconds"),
        _rate_distortion(named, styles),
        _kl_per_latent(named, styles),
        _audit(named, "gap"),
        _audit(named, "gradient_cosine"),
        _pictures(named),
    ]
    return [plot for plot in plots if plot is not None]


def _curves(named: pd.DataFrame, styles: Styles, column: str, label: str, name: str) -> Plot | None:
    """Plot the canonical ELBO during training: the mean over seeds, and the range of them."""
    quantity = comparison_columns()["elbo"]
    if not {quantity, column} <= {*named} or named[quantity].isna().all():
        return None
    figure, axes = new_axes("Canonical ELBO on the validation split", label, "nats per image, higher is better")
    parts = []
    for configuration, group in by_configuration(named):
        by_epoch = group.groupby("epoch").agg(
            x=(column, "mean"), mean=(quantity, "mean"), low=(quantity, "min"), high=(quantity, "max")
        )
        style = styles[configuration]
        axes.plot(by_epoch["x"], by_epoch["mean"], label=label_of(configuration), marker=marker(by_epoch), **style)
        axes.fill_between(by_epoch["x"], by_epoch["low"], by_epoch["high"], color=style["color"], alpha=0.2)
        parts.append(by_epoch.assign(configuration=configuration).reset_index())
    values = named[quantity].dropna()
    if len(values) > 4:  # the first epochs of a bad run would flatten all other curves
        axes.set_ylim(bottom=max(values.min(), np.quantile(values, 0.05) - (values.max() - np.quantile(values, 0.05))))
    draw_legend(figure, axes)
    ends = pd.Series({part["configuration"].iloc[0]: part["mean"].iloc[-1] for part in parts})
    description = (
        f"The validation ELBO of each configuration against {label}, with a band over its seeds. Highest at the end: "
        f"{ends.idxmax()}, {ends.max():.2f} nats; lowest: {ends.idxmin()}, {ends.min():.2f}."
    )
    return Plot(name, figure, description, pd.concat(parts))


def _rate_distortion(named: pd.DataFrame, styles: Styles) -> Plot | None:
    """Plot reconstruction against KL: the path of each run, and its end."""
    rate, distortion = comparison_columns()["kl"], comparison_columns()["reconstruction"]
    if rate not in named or distortion not in named:
        return None
    figure, axes = new_axes("Rate and distortion", "KL, nats", "reconstruction, -log p(x|z), nats")
    for configuration, group in by_configuration(named):
        style = styles[configuration]
        for _, run in group.groupby("run", sort=False):
            axes.plot(run[rate], run[distortion], linewidth=0.8, alpha=0.6, **style)
            axes.scatter(run[rate].iloc[-1:], run[distortion].iloc[-1:], color=style["color"], zorder=3)
        axes.plot([], [], label=label_of(configuration), **style)
    draw_legend(figure, axes)
    description = "The reconstruction of each run against its KL, from the first epoch to the last, which is a dot."
    return Plot("rate_distortion", figure, description, named[["configuration", "run", "epoch", rate, distortion]])


def _kl_per_latent(named: pd.DataFrame, styles: Styles) -> Plot | None:
    """Plot the KL of each latent variable at the end, the largest first: the mean over seeds."""
    columns = [*_audited(named, "kl_per_latent")]
    if not columns:
        return None
    last = named.groupby("run", sort=False).tail(1)
    figure, axes = new_axes("KL of each latent variable, the largest first", "rank", "nats")
    parts = {}
    for configuration, group in by_configuration(last):
        kl = -np.sort(-group[columns].to_numpy(float), axis=1)
        kl = kl[:, ~np.isnan(kl).all(axis=0)]
        if kl.size:
            parts[configuration] = pd.Series(np.nanmean(kl, axis=0))
            ranks = np.arange(1, kl.shape[1] + 1)
            axes.plot(ranks, parts[configuration], marker=".", label=label_of(configuration), **styles[configuration])
    axes.set_yscale("symlog", linthresh=0.01)
    draw_legend(figure, axes)
    description = "The sorted KLs of the latent variables at the end of a run: the mean over a configuration's seeds."
    return Plot("kl_per_latent", figure, description, pd.DataFrame(parts))


def _audit(named: pd.DataFrame, quantity: str) -> Plot | None:
    """Plot an audited quantity of each implementation while each configuration trains: the mean over seeds."""
    columns = {column: part for column, part in _audited(named, quantity).items() if part != TRAINED}
    if not columns:
        return None
    label = f"{QUANTITIES[quantity].meaning}{', nats' if QUANTITIES[quantity].in_nats else ''}"
    groups = by_configuration(named)
    figure, grid = new_panels(len(groups), f"Audit: {label}", sharey=True)
    figure.supxlabel("epoch", fontsize=10)
    parts = []
    for axes, (configuration, group) in zip(grid, groups, strict=False):
        axes.set_title(label_of(f"trained: {configuration}", LINE // 2), fontsize=8, loc="left")
        by_epoch = group.groupby("epoch")[[*columns]].mean()
        for column, implementation in columns.items():
            axes.plot(by_epoch.index, by_epoch[column], label=implementation, marker=marker(by_epoch))
        if quantity == "gap":
            axes.set_yscale("symlog", linthresh=1.0)
        parts.append(by_epoch.assign(configuration=configuration).reset_index())
    draw_legend(figure, grid[0])
    description = (
        f"The {label}, of every audited implementation. Each panel is a configuration that was trained, as the mean "
        "over its seeds."
    )
    return Plot(f"audit_{quantity}", figure, description, pd.concat(parts))


def _audited(named: pd.DataFrame, quantity: str) -> dict[str, str]:
    """Return the columns of an audited quantity, each with the implementation or latent variable that it is of."""
    names = {column: QuantityName.from_column(column) for column in named}
    return {
        column: name.part
        for column, name in names.items()
        if name and name.part and (name.split, name.quantity) == (AUDIT, quantity)
    }


def _pictures(named: pd.DataFrame) -> Plot | None:
    """Show reconstructions and samples of one run of each configuration: the first that has both pictures."""
    last = named.groupby("run", sort=False).tail(1)
    shown, images = [], []
    for configuration, group in by_configuration(last):
        for run in group.reindex(columns=["seed", "run"]).sort_values("seed", key=lambda seed: seed.map(str))["run"]:
            with contextlib.suppress(OSError, ValueError, SyntaxError):  # missing or damaged
                images.append([imread(path) for path in (RunDirectory(run).reconstructions, RunDirectory(run).samples)])
                shown.append({"configuration": configuration, "run": run})
                break
    if not shown:
        return None
    rows = -(-len(shown) // 2)
    figure = Figure(figsize=(WIDTH, 0.4 + 5.4 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, 2, squeeze=False, gridspec_kw={"height_ratios": [1.8, 1.0] * rows})
    figure.suptitle("Reconstructions and samples", fontsize=11)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, labels in enumerate(shown):
        column = grid[2 * (place // 2) :, place % 2]
        column[0].set_title(label_of(labels["configuration"], LINE // 2), fontsize=8, loc="left")
        for axes, image in zip(column, images[place], strict=False):
            axes.imshow(image)
    description = (
        "Images above their reconstructions, and samples from the prior, of one run of each configuration. The images "
        "are from the validation split, or from the split that evaluate.py measured."
    )
    return Plot("pictures", figure, description, pd.DataFrame(shown))
