"""A comparison as files: one HTML page with everything in it, and the pictures beside it."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from vae.compare.plots import Plot, plots
from vae.compare.table import comparable, compare, differences, last_epochs

COLUMNS = {
    "configuration": "configuration",
    "finished": "finished",
    "elbo": "ELBO",
    "reconstruction": "reconstruction",
    "kl": "KL",
    "active_units": "active units",
    "effective_beta": "effective beta",
    "gradient_cosine": "cosine",
    "nll": "NLL",
    "steps_to_elbo": "steps to it",
    "seconds_to_elbo": "seconds to it",
    "steps_per_second": "steps/s",
    "status": "status",
}


def write_report(runs: pd.DataFrame, directory: Path, baseline: str | None = None, elbo: float | None = None) -> Path:
    """Writes report.html, which needs no network and no other file, and each picture as PNG and SVG.

    Args:
        runs: what `load_runs` returned.
        directory: where to.
        baseline: the configuration that the others are held against; None for the best.
        elbo: as for `compare`.

    Returns:
        The page's path.
    """
    directory.mkdir(parents=True, exist_ok=True)
    drawn = plots(runs)
    for plot in drawn:
        for suffix in ("png", "svg"):
            plot.figure.savefig(directory / f"{plot.name}.{suffix}", dpi=150)
    table, warnings = compare(runs, elbo), comparable(runs)
    columns, rows = cells(table)
    environment = Environment(loader=PackageLoader("vae.compare", "."), autoescape=select_autoescape())
    page = environment.get_template("report.html").render(
        title="Which KL? A comparison of runs",
        runs=runs["run"].nunique(),
        columns=columns,
        rows=rows,
        warnings=warnings,
        table_data=_csv(table),
        sentences=[] if warnings else differences(runs, baseline)["sentence"].tolist(),
        plots=[
            {"name": plot.name, "words": plot.words, "image": _svg(plot), "data": _csv(plot.data)} for plot in drawn
        ],
        pictures=_pictures(runs),
    )
    path = directory / "report.html"
    path.write_text(page)
    return path


def cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table for people: only columns that say something, rounded."""
    shown = [name for name in COLUMNS if name in table and not _is_empty(table[name])]
    rows = [[_cell(row, name) for name in shown] for _, row in table.iterrows()]
    return [COLUMNS[name] for name in shown], rows


def _is_empty(column: pd.Series) -> bool:
    return bool((column.isna() | (column.astype(str) == "")).all())


def _cell(row: pd.Series, name: str) -> str:
    value = row[name]
    if name in ("configuration", "status"):
        return str(value)
    if name == "finished":
        return f"{row['finished']}/{row['runs']}"
    if not math.isfinite(value):
        return ""
    interval = row.get(f"{name}_interval", math.nan)
    digits = {"active_units": ".1f", "effective_beta": ".3g", "steps_per_second": ".0f", "steps_to_elbo": ".0f"}
    number = format(value, digits.get(name, ".2f"))
    return f"{number} ± {interval:.2f}" if math.isfinite(interval) else number


def _svg(plot: Plot) -> str:
    buffer = io.StringIO()
    plot.figure.savefig(buffer, format="svg")
    return _uri("image/svg+xml", buffer.getvalue().encode())


def _csv(table: pd.DataFrame) -> str:
    return _uri("text/csv", table.to_csv(index=False).encode())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _pictures(runs: pd.DataFrame) -> list[dict[str, str]]:
    """Samples and reconstructions of the first run of each configuration that `evaluate.py` has drawn them for."""
    last = last_epochs(runs)
    found = []
    for configuration, group in last.groupby("configuration", sort=False):
        for name in ("reconstructions", "samples"):
            paths: Sequence[Path] = [Path(run) / f"{name}.png" for run in group["run"]]
            existing = next((path for path in paths if path.exists()), None)
            if existing:
                image = _uri("image/png", existing.read_bytes())
                found.append({"image": image, "words": f"{name.capitalize()} of {configuration}"})
    return found
