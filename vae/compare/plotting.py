"""Pictures of a comparison. Each function draws on a new figure and says what it drew."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from vae.compare.statistics import QUANTITIES, compare, last_epochs

WIDTH = 6.4  # inches: narrow, so that its letters can be read on a phone
MOST = 16  # configurations that can still be told apart
PICTURES = ("reconstructions", "samples")


@dataclass(frozen=True)
class Plot:
    """A figure, its name in files, what it shows in words, and the numbers it was drawn from."""

    name: str
    figure: Figure
    words: str
    data: pd.DataFrame


def draw_plots(runs: pd.DataFrame) -> list[Plot]:
    """All pictures that the runs have the figures for; of more than sixteen configurations the best sixteen.

    Args:
        runs: what `load_runs` returned.
    """
    best = compare(runs)["configuration"][:MOST]
    named = runs.merge(last_epochs(runs)[["run", "configuration"]].reset_index(drop=True), on="run")
    named = named[named["configuration"].isin(best)].replace([np.inf, -np.inf], np.nan)
    named["configuration"] = named["configuration"].str.replace("$", r"\$")  # or it would begin a formula
    named = named[named["epoch"].notna()] if "epoch" in named else named.iloc[:0]
    if named.empty:
        return []
    drawn = [
        _curves(named, "step", "training steps", "elbo_by_step"),
        _curves(named, "seconds", "seconds", "elbo_by_seconds"),
        _rate_distortion(named),
        _kl_per_latent(named),
        _audit(named, "gap", "value minus the exact KL, nats"),
        _audit(named, "gradient_cosine", "cosine of its gradient and the exact one's"),
        _pictures(named),
    ]
    return [plot for plot in drawn if plot is not None]


def _new(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 4), layout="constrained")  # not pyplot's: a notebook's own stay as they are
    axes = figure.subplots()
    figure.suptitle(title, fontsize=11)
    axes.set(xlabel=x, ylabel=y)
    _style(axes)
    return figure, axes


def _style(axes: Axes) -> None:
    colors = [*colormaps["tab10"](range(10)), *colormaps["Dark2"](range(8))]
    axes.set_prop_cycle(color=colors, linestyle=[*("-", "--", ":", "-.") * 4, "-", "--"])  # some lie on one another
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _by_configuration(named: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), group) for name, group in named.groupby("configuration", sort=False)]


def _legend(figure: Figure, axes: Axes) -> None:
    """Below the axes, where a phone's narrow screen has room for it."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 1 if max(map(len, labels)) > 40 else 2
        height = 0.2 * -(-len(handles) // columns)
        figure.set_figheight(figure.get_figheight() + height)
        figure.legend(handles, labels, fontsize=8, frameon=False, loc="outside lower left", ncols=columns)


def _curves(named: pd.DataFrame, column: str, label: str, name: str) -> Plot | None:
    """The canonical ELBO along training: the mean over seeds, and from the lowest to the highest of them."""
    quantity = QUANTITIES["elbo"]
    if not {quantity, column} <= {*named} or named[quantity].isna().all():
        return None
    figure, axes = _new("Canonical ELBO on the validation split", label, "nats per image, higher is better")
    parts = []
    for configuration, group in _by_configuration(named):
        by_epoch = group.groupby("epoch").agg(
            x=(column, "mean"), mean=(quantity, "mean"), low=(quantity, "min"), high=(quantity, "max")
        )
        (line,) = axes.plot(by_epoch["x"], by_epoch["mean"], label=configuration, marker=_marker(by_epoch))
        axes.fill_between(by_epoch["x"], by_epoch["low"], by_epoch["high"], color=line.get_color(), alpha=0.2)
        parts.append(by_epoch.assign(configuration=configuration).reset_index())
    values = named[quantity].dropna()
    if len(values) > 4:  # the first epochs of a bad run would flatten the rest
        axes.set_ylim(bottom=max(values.min(), np.quantile(values, 0.05) - (values.max() - np.quantile(values, 0.05))))
    _legend(figure, axes)
    ends = pd.Series({part["configuration"].iloc[0]: part["mean"].iloc[-1] for part in parts})
    words = (
        f"The validation ELBO of each configuration against {label}, with a band over its seeds. Highest at the end: "
        f"{ends.idxmax()}, {ends.max():.2f} nats; lowest: {ends.idxmin()}, {ends.min():.2f}."
    )
    return Plot(name, figure, words, pd.concat(parts))


def _rate_distortion(named: pd.DataFrame) -> Plot | None:
    """Reconstruction against KL: the path of each run, and where it ended."""
    rate, distortion = QUANTITIES["kl"], QUANTITIES["reconstruction"]
    if rate not in named or distortion not in named:
        return None
    figure, axes = _new("Rate and distortion", "KL, nats", "reconstruction, -log p(x|z), nats")
    for configuration, group in _by_configuration(named):
        color = None
        for _, run in group.groupby("run", sort=False):
            (line,) = axes.plot(run[rate], run[distortion], linewidth=0.8, alpha=0.6, color=color)
            color = line.get_color()
            axes.scatter(run[rate].iloc[-1:], run[distortion].iloc[-1:], color=color, zorder=3)
        axes.plot([], [], color=color, label=configuration)
    _legend(figure, axes)
    words = "The reconstruction of each run against its KL, from the first epoch to the last, which is a dot."
    return Plot("rate_distortion", figure, words, named[["configuration", "run", "epoch", rate, distortion]])


def _kl_per_latent(named: pd.DataFrame) -> Plot | None:
    """The KL of each latent variable at the end, the largest first: the mean over seeds."""
    columns = [column for column in named if column.startswith("audit/kl_per_latent/")]
    if not columns:
        return None
    last = named.groupby("run", sort=False).tail(1)
    figure, axes = _new("KL of each latent variable, the largest first", "rank", "nats")
    parts = {}
    for configuration, group in _by_configuration(last):
        kl = -np.sort(-group[columns].to_numpy(float), axis=1)
        kl = kl[:, ~np.isnan(kl).all(axis=0)]
        if kl.size:
            parts[configuration] = pd.Series(np.nanmean(kl, axis=0))
            axes.plot(np.arange(1, kl.shape[1] + 1), parts[configuration], marker=".", label=configuration)
    axes.set_yscale("symlog", linthresh=0.01)
    _legend(figure, axes)
    words = "The KL of each latent variable at a run's end, sorted, as the mean over the seeds of a configuration."
    return Plot("kl_per_latent", figure, words, pd.DataFrame(parts))


def _audit(named: pd.DataFrame, quantity: str, label: str) -> Plot | None:
    """What the audit says of each implementation along the training of each configuration: the mean over seeds."""
    prefix = f"audit/{quantity}/"
    columns = [column for column in named if column.startswith(prefix) and column != f"{prefix}trained"]
    if not columns:
        return None
    groups = _by_configuration(named)
    rows = -(-len(groups) // 2)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    figure.suptitle(f"Audit: {label}", fontsize=11)
    figure.supxlabel("epoch", fontsize=10)
    parts = []
    for axes, (configuration, group) in zip(grid.flat, groups, strict=False):
        _style(axes)
        axes.set_title(f"trained: {configuration}", fontsize=8, loc="left")
        by_epoch = group.groupby("epoch")[columns].mean()
        for column in columns:
            axes.plot(by_epoch.index, by_epoch[column], label=column.removeprefix(prefix), marker=_marker(by_epoch))
        if quantity == "gap":
            axes.set_yscale("symlog", linthresh=1.0)
        parts.append(by_epoch.assign(configuration=configuration).reset_index())
    for axes in grid.flat[len(groups) :]:
        axes.set_axis_off()
    _legend(figure, grid[0, 0])
    words = (
        f"The {label}, of every implementation that the audit holds against the exact KL: one panel for each "
        "configuration that was trained, as the mean over its seeds."
    )
    return Plot(f"audit_{quantity}", figure, words, pd.concat(parts))


def _pictures(named: pd.DataFrame) -> Plot | None:
    """Reconstructions and, below them, samples of the first run of each configuration that has them, side by side."""
    last = named.groupby("run", sort=False).tail(1)
    found, images = [], []
    for configuration, group in _by_configuration(last):
        for run in group.reindex(columns=["seed", "run"]).sort_values("seed", key=lambda seed: seed.map(str))["run"]:
            with contextlib.suppress(OSError, ValueError, SyntaxError):  # missing or damaged
                images.append([imread(Path(run) / f"{name}.png") for name in PICTURES])
                found.append({"configuration": configuration, "run": run})
                break
    if not found:
        return None
    rows = -(-len(found) // 2)
    figure = Figure(figsize=(WIDTH, 0.4 + 5.4 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, 2, squeeze=False, gridspec_kw={"height_ratios": [1.8, 1.0] * rows})
    figure.suptitle("Reconstructions and samples", fontsize=11)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, shown in enumerate(found):
        column = grid[2 * (place // 2) :, place % 2]
        column[0].set_title(shown["configuration"], fontsize=8, loc="left")
        for axes, image in zip(column, images[place], strict=False):
            axes.imshow(image)
    words = (
        "Images above their reconstructions, and samples from the prior: one run of each configuration. The images are "
        "of the validation split, or of the one that evaluate.py has measured."
    )
    return Plot("pictures", figure, words, pd.DataFrame(found))


def _marker(by_epoch: pd.DataFrame) -> str:
    return "." if len(by_epoch) < 20 else ""
