"""A comparison as files: one HTML page with everything in it, and the pictures beside it."""

import base64
import math
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from vae.compare.plotting import draw_plots
from vae.compare.statistics import comparable, compare, conclusions, default_baseline

#: What stands above a column of `compare`'s table, and what it means
COLUMNS = {
    "configuration": ("configuration", "the overrides in which the runs differ"),
    "finished": ("finished", "runs that came to their end, of all"),
    "elbo": ("ELBO", "-(reconstruction + KL), canonical, in nats per image; higher is better"),
    "reconstruction": ("reconstruction", "-log p(x|z), in nats per image"),
    "kl": ("KL", "D[q(z|x)||p(z)], exact whatever was trained, in nats per image"),
    "active_units": ("active units", "latent variables that the posterior uses"),
    "effective_beta": ("effective beta", "the weight that training really gave the KL"),
    "gradient_cosine": ("cosine", "of the trained regularizer's gradient and the exact KL's"),
    "nll": ("NLL", "-log p(x) by importance sampling, where evaluate.py was run, in nats per image"),
    "steps_to_elbo": ("steps to ELBO", "training steps until the ELBO that was asked for, of the runs that reached it"),
    "seconds_to_elbo": ("seconds to ELBO", "the same in seconds"),
    "steps_per_second": ("steps/s", "training steps a second"),
    "status": ("status", "of the runs that did not finish"),
}


def write_report(runs: pd.DataFrame, directory: Path, baseline: str | None = None, elbo: float | None = None) -> Path:
    """Writes report.html, which needs no network and no other file, and each picture as PNG and SVG.

    Args:
        runs: what `load_runs` returned.
        directory: where to.
        baseline: the configuration that the others are held against; None for `default_baseline`.
        elbo: as for `compare`.

    Returns:
        The page's path.
    """
    drawn = draw_plots(runs)
    directory.mkdir(parents=True, exist_ok=True)
    for plot in drawn:
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
        meanings=[COLUMNS[name] for name in COLUMNS if COLUMNS[name][0] in columns],
        comparable=not comparable(runs),
        baseline=baseline,
        sentences=conclusions(runs, baseline),
        plots=[
            {
                "name": plot.name,
                "kind": "photo" if plot.name == "pictures" else "plot",
                "words": plot.words,
                "image": _uri("image/svg+xml", (directory / f"{plot.name}.svg").read_bytes()),
                "data": _csv(plot.data),
            }
            for plot in drawn
        ],
    )
    path = directory / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table for people: only columns that say something, rounded."""
    shown = [name for name in COLUMNS if name in table and not _is_empty(table[name])]
    rows = [[_cell(row, name) for name in shown] for _, row in table.iterrows()]
    return [COLUMNS[name][0] for name in shown], rows


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


def _csv(table: pd.DataFrame) -> str:
    return _uri("text/csv", table.to_csv(index=False).encode())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
