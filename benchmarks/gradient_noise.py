"""Measure the noise that Monte Carlo adds to the gradient: bias, signal to noise, cosine and variance.

    python benchmarks/gradient_noise.py [--options NAME=VALUE ...] [--epochs 10] [--batches 20 128]
        [--estimators total stl antithetic stratified] [--samples 1 4 16] [--draws 400] [--seeds 0 1 2] [--quick]
        [--json FILE]

For each seed, a VAE is trained with the exact KL (options as for `train.py`; by default on digits). Its weights are
then held, and gradients are drawn with the noise of training: z from the posterior, and for `kl=monte_carlo` further
draws. Monte Carlo's first draw is the z that the decoder sees, as in training. The estimators are

- "exact", `kl=analytic`;
- "total", `kl=monte_carlo` with its defaults: the total derivative and independent draws;
- "stl", `kl.estimator=stl`: the path derivative without the score term;
- "antithetic" and "stratified", `kl.draws`: draws that depend on one another, so at least two;
- "stl-antithetic" and "stl-stratified", both options, if `--estimators` names them.

The terms are

- "KL", before beta, against the exact KL, which has no noise;
- "loss", the reconstruction plus beta times the KL: the gradient that the optimizer receives.

The gradient is taken at the encoder's output, `(batch, parameters)` as one long vector, which is where the audit of a
run takes it; with respect to the encoder's weights, over which the images of a batch average; and with respect to all
weights of encoder and decoder. On "fixed" images only the noise of z differs between draws. With "drawn" images each
draw has other images, as the steps of training do, so that their noise is in the gradient, too.

- "bias" is |mean - mean of exact| / |mean of exact|, and "floor" its expectation, as a root mean square, if there is
  no bias.
- "signal / noise" is |E g| / sqrt(trace Var g). The squared length of a mean of n draws is too large by trace Var / n,
  which is subtracted.
- "cosine" is the mean cosine between one draw and E g. The first half of the draws gives E g, the second half the
  cosines.
- "variance" is trace Var g over that of the loss with the exact KL: what the estimator makes of the noise of a step.

The table shows means over the seeds, and after ± half of their 95 % confidence interval. The number after the name of
an estimator is that of its samples.
"""

import argparse
import itertools
import json
import math
import operator
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from drawn_gradients import (
    DRAWN,
    ESTIMATORS,
    EXACT,
    FIXED,
    Gradients,
    Row,
    batches_of,
    draws_of,
    gradient_function,
    regularizers,
    trained,
)
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from vae.cli.errors import one_line_errors
from vae.compare.inference import half_width
from vae.compat import load_tensorflow

DEFAULTS = {
    "epochs": 10,
    "batches": [20, 128],
    "estimators": ["total", "stl", "antithetic", "stratified"],
    "samples": [1, 4, 16],
    "draws": 400,
    "seeds": [0, 1, 2],
}
QUICK = {"epochs": 1, "batches": [20], "samples": [1, 4], "draws": 20, "seeds": [0]}
#: The columns of the table, by the names of the figures; the first two without their standard deviation
BIAS = {"bias": "bias", "floor": "floor"}
QUANTITIES = {**BIAS, "signal_to_noise": "signal / noise", "cosine": "cosine", "variance": "variance"}


@dataclass(frozen=True)
class Noise:
    """Statistics of the draws of one gradient; the module's docstring defines each.

    `cosine` and `signal_to_noise` are None if the draws are too few to tell the mean from 0, or have no noise.
    """

    bias: float | None
    floor: float | None
    signal_to_noise: float | None
    cosine: float | None
    variance: float | None


def noise_of(draws: Callable[[int], Gradients], count: int) -> dict[Row, Noise]:
    """Return the noise of every gradient.

    Args:
        draws: the function from the number of a draw to its gradients.
        count: the number of draws, of which the first half gives the means.
    """
    half = count // 2
    totals: dict[Row, NDArray[np.float64]] = {}
    squares: dict[Row, float] = {}
    apart: dict[Row, float] = {}  # squared distance from the exact KL's, on the same noise
    for draw in range(half):
        found = {row: vector.astype(np.float64) for row, vector in draws(draw).items()}
        for row, vector in found.items():
            difference = vector - found[row.exact]
            squares[row] = squares.get(row, 0.0) + float(vector @ vector)
            apart[row] = apart.get(row, 0.0) + float(difference @ difference)
            totals[row] = totals[row] + vector if row in totals else vector
    means = {row: total / half for row, total in totals.items()}
    variances = {row: (squares[row] - half * float(mean @ mean)) / (half - 1) for row, mean in means.items()}
    cosines: dict[Row, list[float]] = {row: [] for row in means}
    for draw in range(half, count):
        for row, gradient in draws(draw).items():
            cosines[row].append(float(gradient @ means[row.exact] / np.linalg.norm(gradient)))

    def noise(row: Row) -> Noise:
        variance, exact = variances[row], variances[row.exact]
        length = math.sqrt(max(float(means[row.exact] @ means[row.exact]) - exact / half, 0.0))
        constant = variance <= 1e-9 * squares[row] / half  # what rounding leaves
        differs = row.estimator != EXACT
        return Noise(
            bias=float(np.linalg.norm(means[row] - means[row.exact])) / length if differs and length else None,
            floor=math.sqrt(apart[row]) / half / length if differs and length else None,
            signal_to_noise=None if constant or not length else length / math.sqrt(variance),
            cosine=statistics.fmean(cosines[row]) / length if length else None,
            variance=variance / exact if row.term == "loss" else None,
        )

    return {row: noise(row) for row in means}


def measure(arguments: argparse.Namespace, progress: Progress) -> Iterator[dict[str, Any]]:
    """Yield the figures of each row, for every seed, batch size and choice of images."""
    cases = list(itertools.product(arguments.batches, (FIXED, DRAWN)))
    bar = progress.add_task("", total=len(arguments.seeds) * (1 + len(cases) * arguments.draws))
    for seed in arguments.seeds:
        progress.update(bar, description=f"seed {seed}: training")
        model, data = trained(arguments.options, arguments.epochs, seed)
        progress.advance(bar)
        gradients = gradient_function(model, regularizers(arguments.estimators, arguments.samples))
        for batch, images in cases:
            progress.update(bar, description=f"seed {seed}: batch {batch}, {images} images")
            draws = draws_of(gradients, batches_of(data, images, batch, seed), images, lambda: progress.advance(bar))
            for row, noise in noise_of(draws, arguments.draws).items():
                if (row.term, row.estimator) != ("KL", EXACT):
                    yield {"seed": seed, "batch": batch, "images": images, **row._asdict(), **asdict(noise)}
    progress.remove_task(bar)


def table_of(figures: list[dict[str, Any]], batch: int, title: str) -> Table:
    """Return the table of one batch size: means over the seeds, and half their 95 % confidence intervals."""
    table = Table("gradient at", "estimator", title=f"{title}; batch {batch}", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in QUANTITIES.values():
        table.add_column(name, justify="right")
    groups: dict[tuple[str, str], dict[tuple[str, str], list[dict[str, Any]]]] = {}
    for found in figures:
        if found["batch"] == batch:
            rows = groups.setdefault((found["images"], found["term"]), {})
            estimator = ", ".join([found["estimator"], *([str(found["samples"])] if found["samples"] else [])])
            rows.setdefault((found["place"], estimator), []).append(found)
    for (images, term), rows in groups.items():
        table.add_section()
        table.add_row(f"{term}, {images}", style="bold")
        for row in sorted(rows, key=operator.itemgetter(0)):
            cells = {name: [found[name] for found in rows[row] if found[name] is not None] for name in QUANTITIES}
            table.add_row(*row, *(mean_and_interval(values, name not in BIAS) for name, values in cells.items()))
    return table


def mean_and_interval(values: list[float], with_interval: bool) -> str:
    """Return the mean as text, with half the 95 % confidence interval of several values if it is asked for."""
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.2f}"
    if not with_interval or len(values) == 1:
        return mean
    return f"{mean} ± {half_width(statistics.stdev(values), len(values)):.2f}"


def main() -> None:
    """Measure, print the tables and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--options", nargs="+", default=[], metavar="NAME=VALUE", help="options of train.py")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS)
    parser.add_argument("--samples", type=int, nargs="+")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--quick", action="store_true", help="one epoch, batch and seed, and few draws")
    parser.add_argument("--json", type=Path)
    parser.set_defaults(**DEFAULTS)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    arguments = parser.parse_args()
    if arguments.draws < 4:
        parser.error(f"--draws {arguments.draws}: must be 4 or more, half of them for the means")
    load_tensorflow()

    console = Console()
    bar = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with one_line_errors(Path(__file__).name), Progress(*bar, console=console, transient=True) as progress:
        figures = list(measure(arguments, progress))
    shown = [option for option in arguments.options if not option.startswith("data.dir")]
    title = " ".join([*shown, f"after {arguments.epochs} epochs, {arguments.draws} draws"])
    for batch in arguments.batches:
        console.print(table_of(figures, batch, title))
    if arguments.json:
        settings = {name: getattr(arguments, name) for name in DEFAULTS}
        facts = {"cores": os.cpu_count(), "options": shown, **settings, "figures": figures}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
