"""Plots as Matplotlib draws them, and the one style of each configuration."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from vae.compare.plot import Axis, Panel, Plot, Series, Style

WIDTH = 6.4  # inches: narrow enough to be read on a phone
LINE = 80  # characters of a legend that fit into the width
FEW_POINTS = 20  # so few that the line alone would hide where they are

_GRAYS = (7, 17)  # of the two palettes: gray is what a plot measures by
_LINES = ("-", "--", ":", "-.")  # some curves coincide
_MARKERS = {"dots": "o", "crosses": "x"}
Styles = Mapping[str, Style]


def configuration_styles(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the color and the line style in which every picture draws a configuration, as options of Matplotlib.

    There are sixteen colors. Names with few overrides come first. Those that differ in a number alone, such as the
    values of beta of a frontier, come last, so that they leave different colors to the others.

    Args:
        names: the configurations of a comparison, in any order.
    """
    names = {*names}
    alike = Counter(map(_without_numbers, names))
    return styles_in_order(sorted(names, key=lambda name: (alike[_without_numbers(name)], name.count(" "), name)))


def _without_numbers(name: str) -> str:
    return re.sub(r"=[-+.\de]+(?= |$)", "=", name)


def styles_in_order(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return a color and a line style for each name, as options of Matplotlib."""
    palettes = (*colormaps["tab10"](range(10)), *colormaps["Dark2"](range(8)))
    colors = [to_hex(color) for place, color in enumerate(palettes) if place not in _GRAYS]
    return {
        name: {"color": colors[place % len(colors)], "linestyle": _LINES[place % len(_LINES)]}
        for place, name in enumerate(names)
    }


def draw(plot: Plot) -> Figure:
    """Return a plot as a figure: one panel, or two in a row, with a legend below if a panel has several names."""
    figure, grid = _new_panels(plot)
    for axes, panel in zip(grid, plot.panels, strict=True):
        _draw_panel(axes, panel, plot)
    if len({series.name for series in plot.panels[0].series} - {""}) > 1 and not plot.y.names:
        _draw_legend(figure, grid[0])
    return figure


def _new_panels(plot: Plot) -> tuple[Figure, list[Axes]]:
    count, names = len(plot.panels), len(plot.y.names)
    columns = min(2, count)
    rows = -(-count // 2)
    height = 0.6 + 2.2 * rows if count > 1 else (1.2 + 0.28 * names if names else 4.0)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")  # not pyplot's, which a notebook would show again
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    figure.suptitle(textwrap.fill(_escaped(plot.title), LINE), fontsize=11)
    panels = [*grid.flat]
    if count == 1:
        panels[0].set(xlabel=_escaped(plot.x.label), ylabel=_escaped(plot.y.label))
    else:
        figure.supxlabel(_escaped(plot.x.label), fontsize=10)
        figure.supylabel(_escaped(plot.y.label), fontsize=10)
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels[:count]


def _draw_panel(axes: Axes, panel: Panel, plot: Plot) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    for axis, span, line in ((plot.x, axes.axvspan, axes.axvline), (plot.y, axes.axhspan, axes.axhline)):
        if axis.margin is not None:
            span(-axis.margin, axis.margin, color="0.5", alpha=0.25, linewidth=0)
            line(0.0, color="0.4", linewidth=0.8)
    for series in panel.series:
        _draw_series(axes, series)
    _set_axis(axes, "x", plot.x)
    _set_axis(axes, "y", plot.y)
    if panel.title:
        axes.set_title(label_of(panel.title, LINE // 2), fontsize=8, loc="left")


def _draw_series(axes: Axes, series: Series) -> None:
    points, color = series.points, series.style["color"]
    width, alpha = (0.8, 0.6) if series.faint else (None, None)
    label = label_of(series.name) if series.name else "_nolegend_"
    if series.mark == "line":
        dots = "." if len(points) < FEW_POINTS and not series.faint else ""
        axes.plot(points["x"], points["y"], label=label, marker=dots, linewidth=width, alpha=alpha, **series.style)
        if "low" in points:
            axes.fill_between(points["x"], points["low"], points["high"], color=color, alpha=0.22, linewidth=0)
    elif series.mark == "intervals":
        ends = np.abs(points[["low", "high"]].to_numpy().T - points["x"].to_numpy())
        axes.errorbar([*points["x"]], [*points["y"]], xerr=ends, color=color, marker="x", linestyle="", capsize=3)
    else:
        axes.scatter(points["x"], points["y"], color=color, s=18, marker=_MARKERS[series.mark], label=label, zorder=3)
    for x, y, text in points[["x", "y", "text"]].itertuples(index=False) if "text" in points else ():
        axes.annotate(_escaped(str(text)), (x, y), (3, 4), textcoords="offset points", fontsize=7)


def _set_axis(axes: Axes, name: str, axis: Axis) -> None:
    drawn = getattr(axes, f"{name}axis")
    if axis.names:
        names = [label_of(textwrap.shorten(text, LINE // 2)) for text in axis.names]
        drawn.set_ticks(range(len(names)), names, fontsize=8)
        getattr(axes, f"set_{name}lim")(len(names) - 0.5, -0.5)  # the first on top
        return
    if axis.scale == "symlog":
        getattr(axes, f"set_{name}scale")("symlog", linthresh=axis.linear_up_to)
        drawn.set_major_formatter("{x:g}")
    elif axis.scale == "log":
        getattr(axes, f"set_{name}scale")("log")
        drawn.set_major_formatter("{x:g}")
        drawn.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.4)))
    getattr(axes, f"set_{name}lim")(*axis.limits)


def label_of(name: str, width: int = LINE) -> str:
    """Return a name in lines of so many characters, for Matplotlib."""
    return _escaped(textwrap.fill(name, width))


def _escaped(text: str) -> str:
    """Return a text that Matplotlib shows as it is: a $ would begin a formula."""
    return text.replace("$", r"\$")


def _draw_legend(figure: Figure, axes: Axes) -> None:
    """Draw the legend below the axes, so that it fits on a phone."""
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    columns = 1 if max(map(len, named)) > LINE // 2 else 2
    height = 0.2 * -(-sum(len(name.splitlines()) for name in named) // columns)
    figure.set_figheight(figure.get_figheight() + height)
    figure.legend(named.values(), named.keys(), fontsize=8, frameon=False, loc="outside lower left", ncols=columns)
