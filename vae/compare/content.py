"""The content of a comparison in a browser, shared by the report and TensorBoard's tab."""

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from vae.compare.columns import cells
from vae.compare.comparison import Comparison
from vae.compare.configurations import last_epochs, reasons_not_to_compare
from vae.compare.difference_plots import MAX_CONFIGURATIONS
from vae.compare.drawing import configuration_styles
from vae.compare.margin import MARGIN
from vae.compare.plot import Plot, browser_style
from vae.compare.sentences import plus_minus
from vae.compare.table import compare
from vae.compare.verdicts import conclusions, default_baseline, differences
from vae.errors import printable
from vae.runs.paths import RunDirectory
from vae.runs.quantities import QUANTITIES
from vae.runs.untrusted import read_bytes

ASSETS = resources.files("vae.compare") / "browser"
TITLE = "Which KL? A comparison of runs"

#: From the names of runs to the address of a page that shows them
Link = Callable[[Sequence[str]], str]


@cache
def environment() -> Environment:
    """Return the templates' environment, which escapes whatever is put into HTML."""
    return Environment(loader=PackageLoader("vae.compare", "browser"), autoescape=select_autoescape())


def content(
    comparison: Comparison,
    plots: Sequence[Plot],
    baseline: str | None = None,
    margin: float = MARGIN,
    quantity: str = "elbo",
    elbo: float | None = None,
    link: Link | None = None,
    root: Path = Path(),
) -> dict[str, Any]:
    """Return the variables of the template comparison.html.

    Args:
        comparison: the runs.
        plots: those of `draw_plots`.
        baseline: as for `differences`.
        margin: as for `differences`.
        quantity: as for `differences`.
        elbo: as for `compare`.
        link: where the runs of a configuration are shown; None if the page has no links.
        root: the folder that the names of the runs are relative to.
    """
    table = compare(comparison, elbo)
    styles = {name: browser_style(style) for name, style in configuration_styles(table["configuration"]).items()}
    columns, rows = cells(table)
    last = last_epochs(comparison)
    runs_of = last.groupby("configuration", sort=False)["run"].agg(list)
    sentences = conclusions(comparison, baseline, margin, quantity)
    baseline = baseline or default_baseline(comparison)
    verdicts = _verdicts(comparison, baseline, margin, quantity)
    return {
        "baseline": baseline,
        "is_ranking": not reasons_not_to_compare(comparison),
        "quantity": QUANTITIES[quantity].title,
        "runs": len(last),
        "table": table,
        "columns": columns,
        "rows": [
            {
                "cells": row,
                "verdict": verdicts.get(row[0], ""),
                "style": styles[row[0]],
                "link": link(runs_of[row[0]]) if link else None,
                "runs": [{"name": printable(run), "link": link([run])} for run in runs_of[row[0]]] if link else [],
            }
            for row in rows
        ],
        "links": link is not None,
        "sentences": [{"text": text, "style": styles.get(text.split(": ", 1)[0])} for text in sentences],
        "plots": plots,
        "samples": [*_samples(last, table["configuration"][:MAX_CONFIGURATIONS], root)],
    }


def _verdicts(comparison: Comparison, baseline: str, margin: float, quantity: str) -> dict[str, str]:
    """Return, for each configuration that is compared with the baseline, the difference and the verdict in words."""
    found = differences(comparison, baseline, quantity, margin)
    verdicts = {
        name: f"{plus_minus(difference, interval)}, {verdict}"
        for name, difference, interval, verdict in found[
            ["configuration", "difference", "interval", "verdict"]
        ].itertuples(index=False)
        if math.isfinite(interval)
    }
    return verdicts | {baseline: "baseline"}


def data_uri(kind: str, data: bytes) -> str:
    """Return an address that holds the data itself.

    Args:
        kind: its media type.
        data: the content.
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _samples(last: pd.DataFrame, configurations: Iterable[str], root: Path) -> Iterator[dict[str, str]]:
    """Yield the pictures of one run of each configuration: the first that has both."""
    for configuration in configurations:
        group = last[last["configuration"] == configuration].reindex(columns=["seed", "run"])
        for run in group.sort_values("seed", key=lambda seed: seed.map(str))["run"]:
            directory = RunDirectory(root / run)
            pictures = [_picture(path, directory) for path in (directory.reconstructions, directory.samples)]
            if all(pictures):
                names = ("configuration", "run", "reconstructions", "samples")
                yield dict(zip(names, (configuration, printable(run), *pictures), strict=True))
                break


def _picture(path: Path, directory: RunDirectory) -> str:
    """Return the address of a PNG file's content; empty if the file is missing, not read or no PNG."""
    try:
        data = read_bytes(path, directory.path)
    except OSError:
        return ""
    return data_uri("image/png", data) if data.startswith(b"\x89PNG\r\n\x1a\n") else ""
