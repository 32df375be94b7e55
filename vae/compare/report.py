"""A comparison as files: one HTML page with everything in it, and the plots beside it."""

import base64
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from vae.compare.columns import cells
from vae.compare.configurations import reasons_not_to_compare
from vae.compare.inference import MARGIN
from vae.compare.plotting import draw_plots
from vae.compare.table import compare
from vae.compare.verdicts import conclusions, default_baseline


def write_report(
    runs: pd.DataFrame,
    directory: Path,
    baseline: str | None = None,
    elbo: float | None = None,
    margin: float = MARGIN,
) -> Path:
    """Write report.html, which needs neither a network nor another file, and each plot as PNG and SVG.

    Args:
        runs: the table of `load_runs`.
        directory: the folder to write to.
        baseline: the configuration to compare the others with; None for `default_baseline`.
        elbo: as for `compare`.
        margin: as for `differences`.

    Returns:
        The path of the page.
    """
    plots = draw_plots(runs, baseline, margin)
    directory.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        for suffix in ("png", "svg"):
            plot.figure.savefig(directory / f"{plot.name}.{suffix}", dpi=150)
    table = compare(runs, elbo)
    columns, rows = cells(table)
    baseline = baseline or default_baseline(runs)
    environment = Environment(loader=PackageLoader("vae.compare", "."), autoescape=select_autoescape())
    page = environment.get_template("report.html").render(
        title="Which KL? A comparison of runs",
        runs=runs["run"].nunique(),
        columns=columns,
        rows=rows,
        table_data=_csv(table),
        is_ranking=not reasons_not_to_compare(runs),
        baseline=baseline,
        sentences=conclusions(runs, baseline, margin),
        plots=[
            {
                "name": plot.name,
                "kind": "photo" if plot.name == "pictures" else "plot",
                "description": plot.description,
                "image": _uri("image/svg+xml", (directory / f"{plot.name}.svg").read_bytes()),
                "data": _csv(plot.data),
            }
            for plot in plots
        ],
    )
    path = directory / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _csv(table: pd.DataFrame) -> str:
    return _uri("text/csv", table.to_csv(index=False).encode())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
