"""A plot as data: what each line, dot and interval is of, whoever draws it.

Matplotlib draws a plot for files and notebooks (`Plot.figure`), a browser on the page of a comparison and in
TensorBoard (`Plot.to_json`), both from the same numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

Style = Mapping[str, Any]  # "color" and "linestyle", as options of Matplotlib
Mark = Literal["line", "dots", "crosses", "intervals"]
_DASHES = {"-": "none", "--": "6 3", ":": "1.5 2.5", "-.": "8 3 1.5 3"}
MOST_POINTS = 300  # of a line in a browser: as many as it has pixels


@dataclass(frozen=True)
class Axis:
    """An axis of a plot.

    Args:
        label: what it shows, with its unit.
        scale: "symlog" is linear around 0 and logarithmic beyond.
        linear_up_to: where the linear part of "symlog" ends.
        limits: the ends; None for those of the values.
        margin: values between minus this and this count as 0, which a stripe shows; None if there is no such margin.
        names: what stands at 0, 1, 2, ...; empty if the axis has numbers.
    """

    label: str
    scale: Literal["linear", "log", "symlog"] = "linear"
    linear_up_to: float = 1.0
    limits: tuple[float | None, float | None] = (None, None)
    margin: float | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Args:
        name: what they are of: a configuration or an implementation. Empty if they need no entry in a legend.
        points: `x` and `y`; `low` and `high`, the ends of a band around `y`, or of an interval around `x` if the mark
            is "intervals"; `text`, to stand beside a point; `run`, the run that a point is of.
        style: its color and the style of its line.
        mark: how it is drawn.
        runs: the names of the runs that all points are of together.
        faint: whether it stays in the background.
    """

    name: str
    points: pd.DataFrame
    style: Style
    mark: Mark = "line"
    runs: Sequence[str] = ()
    faint: bool = False


@dataclass(frozen=True)
class Panel:
    """A panel of a plot: a title and the series in it."""

    title: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Plot:
    """A plot of a comparison.

    Args:
        name: its name in files.
        title: its heading.
        description: what it shows, in words.
        x: the horizontal axis, of all panels.
        y: the vertical axis, of all panels.
        panels: at least one.
        data: the numbers that it is drawn from, as a table.
    """

    name: str
    title: str
    description: str
    x: Axis
    y: Axis
    panels: Sequence[Panel]
    data: pd.DataFrame

    @cached_property
    def figure(self) -> Figure:
        """The plot as drawn by Matplotlib."""
        from vae.compare.drawing import draw

        return draw(self)

    def to_json(self) -> dict[str, Any]:
        """Return what a browser draws, as JSON: the plot without its `data`, with lines of at most 300 points."""
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "x": vars(self.x),
            "y": vars(self.y),
            "panels": [
                {"title": panel.title, "series": [_series_to_json(series) for series in panel.series]}
                for panel in self.panels
            ],
        }


def _series_to_json(series: Series) -> dict[str, Any]:
    points = series.points
    if series.mark == "line" and len(points) > MOST_POINTS:
        points = points.iloc[np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int)]
    columns = {name: [_to_json(value) for value in points[name].tolist()] for name in points}
    return {**vars(series), "points": columns, "style": browser_style(series.style), "runs": [*series.runs]}


def browser_style(style: Style) -> dict[str, str]:
    """Return a style in the terms of SVG: `color` and `dash`."""
    return {"color": style["color"], "dash": _DASHES[style["linestyle"]]}


def _to_json(value: Any) -> Any:
    """Return a number with six digits, or None if it is not finite, which JSON cannot write."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
