"""Shared parts of the plots of a comparison: figures, panels, legends, and one style per configuration."""

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

WIDTH = 6.4  # inches: narrow enough to be read on a phone
LINE = 80  # characters of a legend that fit into the width
MAX_CONFIGURATIONS = 16  # that a reader can tell apart

_GRAYS = (7, 17)  # of the two palettes: gray is what a plot measures by
Styles = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Plot:
    """A plot of a comparison.

    Args:
        name: its name in files.
        figure: the Matplotlib figure.
        description: what the plot shows, in words.
        data: the numbers that it was drawn from.
    """

    name: str
    figure: Figure
    description: str
    data: pd.DataFrame


def configuration_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the color and the line style in which every picture draws a configuration, as options of Matplotlib.

    Args:
        names: the configurations of a comparison, in any order.
    """
    palettes = (*colormaps["tab10"](range(10)), *colormaps["Dark2"](range(8)))
    colors = [to_hex(color) for place, color in enumerate(palettes) if place not in _GRAYS]
    lines = ["-", "--", ":", "-."]  # some curves coincide
    fewest_overrides_first = sorted({*names}, key=lambda name: (name.count(" "), name))
    return {
        name: {"color": colors[place % len(colors)], "linestyle": lines[place % len(lines)]}
        for place, name in enumerate(fewest_overrides_first)
    }


def new_axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure of one panel with a title and the labels of its axes."""
    figure = Figure(figsize=(WIDTH, 4), layout="constrained")  # not pyplot's, which a notebook would show again
    axes = figure.subplots()
    figure.suptitle(title, fontsize=11)
    axes.set(xlabel=x, ylabel=y)
    set_style(axes)
    return figure, axes


def new_panels(count: int, title: str, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels in two columns."""
    rows = -(-count // 2)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, 2, sharex=True, sharey=sharey, squeeze=False)
    figure.suptitle(title, fontsize=11)
    panels = [*grid.flat]
    for axes in panels[:count]:
        set_style(axes)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels[:count]


def set_style(axes: Axes) -> None:
    """Give a panel its grid, its frame, and the styles of lines that stand for no configuration."""
    axes.set_prop_cycle(color=colormaps["tab10"](range(8)), linestyle=["-", "--", ":", "-."] * 2)  # some coincide
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def by_configuration(named: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each configuration, in the order of the table."""
    return [(str(name), group) for name, group in named.groupby("configuration", sort=False)]


def label_of(name: str, width: int = LINE) -> str:
    """Return a name in lines of so many characters. Matplotlib reads $ as the start of a formula, unless escaped."""
    return textwrap.fill(name, width).replace("$", r"\$")


def draw_legend(figure: Figure, axes: Axes) -> None:
    """Draw the legend below the axes, so that it fits on a phone."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        columns = 1 if max(map(len, names)) > LINE // 2 else 2
        height = 0.2 * -(-sum(len(name.splitlines()) for name in names) // columns)
        figure.set_figheight(figure.get_figheight() + height)
        figure.legend(handles, names, fontsize=8, frameon=False, loc="outside lower left", ncols=columns)


def marker(by_epoch: pd.DataFrame) -> str:
    """Return the marker of a line over epochs: dots, if there are so few that the line alone would hide them."""
    return "." if len(by_epoch) < 20 else ""
