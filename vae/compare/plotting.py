"""Plots of a comparison, each with a description in words and its data."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from vae.compare.comparison import Comparison, computed_once
from vae.compare.configurations import by_configuration, last_epochs
from vae.compare.difference_plots import MAX_CONFIGURATIONS, difference_plot, frontier_plots
from vae.compare.drawing import Styles, configuration_styles, styles_in_order
from vae.compare.margin import MARGIN
from vae.compare.pairs import difference_curves
from vae.compare.plot import Axis, Panel, Plot, Series
from vae.compare.table import compare
from vae.runs.quantities import AUDIT, QUANTITIES, TRAINED, QuantityName, comparison_columns

RunsOf = Mapping[str, Sequence[str]]  # the names of each configuration's runs
MAX_PATHS = 20  # of a configuration that a reader can follow; of more seeds, their mean is drawn
_BY = {"step": "training steps", "seconds": "seconds"}


@computed_once
def draw_plots(
    comparison: Comparison, baseline: str | None = None, margin: float = MARGIN, quantity: str = "elbo"
) -> list[Plot]:
    """Return all plots that the runs have the quantities for, of the best sixteen configurations.

    Args:
        comparison: the runs, or the table of `load_runs`.
        baseline: as for `differences`.
        margin: as for `differences`.
        quantity: the column of `compare` whose course is plotted.
    """
    table, last = compare(comparison), last_epochs(comparison)
    styles = configuration_styles(table["configuration"])
    shown = last["configuration"][last["configuration"].isin(table["configuration"][:MAX_CONFIGURATIONS])]
    named = comparison.details([*shown.index])
    named = named.assign(configuration=named["run"].map(shown))
    named = named[named["epoch"].notna()] if "epoch" in named else named.iloc[:0]
    numbers = named.select_dtypes("number").columns
    named = named.assign(**named[numbers].where(np.isfinite(named[numbers])))
    if named.empty:
        return []
    runs_of = {name: [*map(str, group["run"].unique())] for name, group in by_configuration(named)}
    plots = [
        difference_plot(difference_curves(comparison, baseline, quantity), styles, margin, quantity, runs_of),
        *frontier_plots(comparison, styles, margin),
        *(_course(named, styles, quantity, by, runs_of) for by in _BY),
        _rate_distortion(named, styles),
        _kl_per_latent(named, styles, runs_of),
        _audit(named, "gap"),
        _audit(named, "gradient_cosine"),
    ]
    return [plot for plot in plots if plot is not None]


def _course(named: pd.DataFrame, styles: Styles, name: str, by: str, runs_of: RunsOf) -> Plot | None:
    """Plot a quantity during training: the mean over seeds, and the range of them."""
    quantity, column = QUANTITIES[name], comparison_columns()[name]
    if not {column, by} <= {*named} or named[column].isna().all():
        return None
    named = named[named[column].notna()]
    parts = {}
    for configuration, group in by_configuration(named):
        parts[configuration] = group.groupby("epoch").agg(
            x=(by, "mean"), y=(column, "mean"), low=(column, "min"), high=(column, "max")
        )
    values, lowest = named[column], None
    if quantity.better == "higher" and len(values) > 4:
        # The first epochs of a bad run would flatten all other curves
        low = np.quantile(values, 0.05)
        lowest = max(values.min(), low - (values.max() - low))
    ends = pd.Series({configuration: part["y"].iloc[-1] for configuration, part in parts.items()})
    unit = " nats" if quantity.in_nats else ""
    description = (
        f"The {quantity.title} of each configuration against {_BY[by]}, with a band over its seeds. Highest at the "
        f"end: {ends.idxmax()}, {ends.max():.2f}{unit}; lowest: {ends.idxmin()}, {ends.min():.2f}{unit}."
    )
    on = " on the validation split" if column.startswith("validation/") else ""
    better = f", {quantity.better} is better" if quantity.better else ""
    return Plot(
        f"{name}_by_{by}",
        f"{'Canonical ' if quantity.group == 'canonical' else ''}{quantity.title}{on}",
        description,
        Axis(_BY[by]),
        Axis(f"{'nats per image' if quantity.in_nats else quantity.title}{better}", limits=(lowest, None)),
        [Panel("", [_series(name, part, styles, runs_of) for name, part in parts.items()])],
        _stacked(parts, {"x": by, "y": "mean"}),
    )


def _rate_distortion(named: pd.DataFrame, styles: Styles) -> Plot | None:
    """Plot reconstruction against KL: the path of each run, or of many seeds their mean, and the end of each run."""
    rate, distortion = comparison_columns()["kl"], comparison_columns()["reconstruction"]
    if rate not in named or distortion not in named:
        return None
    series = []
    for configuration, group in by_configuration(named):
        style, paths = styles[configuration], group.groupby("run", sort=False)
        for run, path in paths if len(paths) <= MAX_PATHS else ():
            points = path[[rate, distortion]].set_axis(["x", "y"], axis=1)
            series += [
                Series(configuration, points, style, runs=[str(run)], faint=True),
                Series("", points.tail(1), style, "dots", runs=[str(run)]),
            ]
        if len(paths) > MAX_PATHS:
            mean = group.groupby("epoch")[[rate, distortion]].mean().set_axis(["x", "y"], axis=1)
            ends = paths.tail(1)[[rate, distortion, "run"]].set_axis(["x", "y", "run"], axis=1)
            series += [
                Series(configuration, mean, style, runs=[*map(str, ends["run"])], faint=True),
                Series("", ends, style, "dots"),
            ]
    return Plot(
        "rate_distortion",
        "Rate and distortion",
        "The reconstruction of each run against its KL, from the first epoch to the last, which is a dot. The path "
        f"of a configuration with more than {MAX_PATHS} runs is their mean.",
        Axis("KL, nats"),
        Axis("reconstruction, -log p(x|z), nats"),
        [Panel("", series)],
        named[["configuration", "run", "epoch", rate, distortion]],
    )


def _kl_per_latent(named: pd.DataFrame, styles: Styles, runs_of: RunsOf) -> Plot | None:
    """Plot the KL of each latent variable at the end, the largest first: the mean over seeds."""
    columns = [*_audited(named, "kl_per_latent")]
    if not columns:
        return None
    last = named.groupby("run", sort=False).tail(1)
    parts = {}
    for configuration, group in by_configuration(last):
        kl = -np.sort(-group[columns].to_numpy(float), axis=1)
        kl = kl[:, ~np.isnan(kl).all(axis=0)]
        if kl.size:
            ranks = np.arange(1, kl.shape[1] + 1)
            parts[configuration] = pd.DataFrame({"x": ranks, "y": np.nanmean(kl, axis=0)})
    if not parts:
        return None
    return Plot(
        "kl_per_latent",
        "KL of each latent variable, the largest first",
        "The sorted KLs of the latent variables at the end of a run: the mean over a configuration's seeds.",
        Axis("rank"),
        Axis("nats", "symlog", 0.01, limits=(0.0, None)),
        [Panel("", [_series(name, part, styles, runs_of) for name, part in parts.items()])],
        _stacked(parts, {"x": "rank", "y": "kl"}),
    )


def _audit(named: pd.DataFrame, quantity: str) -> Plot | None:
    """Plot an audited quantity of each implementation while each configuration trains: the mean over seeds."""
    audited = {column: part for column, part in _audited(named, quantity).items() if part != TRAINED}
    columns = dict(itertools.islice(audited.items(), MAX_CONFIGURATIONS))
    if not columns:
        return None
    label = f"{QUANTITIES[quantity].meaning}{', nats' if QUANTITIES[quantity].in_nats else ''}"
    styles = styles_in_order([*columns.values()])
    panels, parts = [], []
    for configuration, group in by_configuration(named):
        by_epoch = group.groupby("epoch")[[*columns]].mean()
        series = [
            Series(name, by_epoch[column].rename("y").rename_axis("x").reset_index(), styles[name])
            for column, name in columns.items()
        ]
        panels.append(Panel(f"trained: {configuration}", series))
        parts.append(by_epoch.assign(configuration=configuration).reset_index())
    description = (
        f"The {label}, of every audited implementation. Each panel is a configuration that was trained, as the mean "
        "over its seeds."
    )
    unit = "nats" if QUANTITIES[quantity].in_nats else QUANTITIES[quantity].title
    y = Axis(unit, "symlog", 1.0) if quantity == "gap" else Axis(unit)
    return Plot(f"audit_{quantity}", f"Audit: {label}", description, Axis("epoch"), y, panels, pd.concat(parts))


def _audited(named: pd.DataFrame, quantity: str) -> dict[str, str]:
    """Return the columns of an audited quantity, each with the implementation or latent variable that it is of."""
    names = {column: QuantityName.from_column(column) for column in named}
    return {
        column: name.part
        for column, name in names.items()
        if name and name.part and (name.split, name.quantity) == (AUDIT, quantity)
    }


def _series(name: str, points: pd.DataFrame, styles: Styles, runs_of: RunsOf) -> Series:
    return Series(name, points.reset_index(drop=True), styles[name], runs=runs_of[name])


def _stacked(parts: dict[str, pd.DataFrame], names: dict[str, str]) -> pd.DataFrame:
    """Return the points of each configuration as one table, under names of columns that say what they are."""
    tables = [part.rename(columns=names).assign(configuration=name) for name, part in parts.items()]
    return pd.concat([table.reset_index() if table.index.name else table for table in tables], ignore_index=True)
