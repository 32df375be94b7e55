"""A comparison as files: one HTML page with everything in it, and the plots beside it."""

from pathlib import Path

import pandas as pd

from vae.compare.comparison import Comparison
from vae.compare.content import ASSETS, TITLE, content, data_uri, environment
from vae.compare.margin import MARGIN
from vae.compare.plotting import draw_plots
from vae.runs.files import atomic_path


def write_report(
    runs: pd.DataFrame | Comparison,
    directory: Path,
    baseline: str | None = None,
    elbo: float | None = None,
    margin: float = MARGIN,
) -> Path:
    """Write report.html, which needs neither a network nor another file, and each plot as PNG and SVG.

    Args:
        runs: the table of `load_runs`, or a comparison.
        directory: the folder to write to.
        baseline: the configuration to compare the others with; None for `default_baseline`.
        elbo: as for `compare`.
        margin: as for `differences`.

    Returns:
        The path of the page.
    """
    comparison = Comparison.of(runs)
    plots = draw_plots(comparison, baseline, margin)
    directory.mkdir(parents=True, exist_ok=True)
    for plot in plots:
        for suffix in ("png", "svg"):
            with atomic_path(directory / f"{plot.name}.{suffix}") as temporary:
                plot.figure.savefig(temporary, dpi=150)
            plot.figure.set_layout_engine("none")  # it stays as it is, and finding it takes as long as drawing
    variables = content(comparison, plots, baseline, margin, elbo=elbo)
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
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _csv(table: pd.DataFrame) -> str:
    return data_uri("text/csv", table.to_csv(index=False).encode())


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
