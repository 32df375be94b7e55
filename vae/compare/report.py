"""A comparison as files: one HTML page with everything in it, and the plots beside it."""

from pathlib import Path

import pandas as pd

from vae.compare.content import ASSETS, TITLE, content, data_uri, environment
from vae.compare.inference import MARGIN
from vae.compare.plotting import draw_plots


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
    variables = content(runs, plots, baseline, margin, elbo=elbo)
    template = environment().get_template("report.html")
    page = template.render(
        variables,
        title=TITLE,
        table_data=_csv(variables["table"]),
        plot_data={plot.name: _csv(plot.data) for plot in plots},
        drawn=[plot.to_json() for plot in plots],
        style=_asset("style.css"),
        library=f"{_asset('d3.min.js')}\n{_asset('plot.umd.min.js')}",
        charts=_asset("charts.js"),
    )
    path = directory / "report.html"
    path.write_text(page, encoding="utf-8", errors="backslashreplace")  # names of folders may be any bytes
    return path


def _csv(table: pd.DataFrame) -> str:
    return data_uri("text/csv", table.to_csv(index=False).encode(errors="backslashreplace"))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
