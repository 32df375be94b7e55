"""Terminal output of an evaluation."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

_HALF_WIDTH = NormalDist().inv_cdf(0.975)  # of a 95 % confidence interval, in standard errors
#: Effective samples below which an NLL is not to be trusted. From n of them it is too high by about 1/(2n) nats; with
#: fewer than ten the approximation fails.
_FEW_SAMPLES = 10
#: What the NLL is called if it is not -log p(x) of the images as they are stored
_NLL = {
    "density": "NLL of a density",
    "cross_entropy": "cross-entropy bound, no NLL",
    "rounded": "NLL of the images rounded to the model's levels",
}


def print_quantities(quantities: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Print a table of the quantities in evaluation.json, and the files that were written.

    Args:
        quantities: "split", the result of `measure_model`, and that of `measure_inference_gap` if it was measured.
        paths: the files.
    """
    table = Table(f"{quantities['split']} split, {quantities['images']:,} images", title_justify="left")
    table.add_column("nats per image", justify="right")
    kind = quantities["nll_kind"]
    labels = {
        "elbo": "ELBO, higher is better",
        "reconstruction": f"reconstruction, {'cross-entropy' if kind == 'cross_entropy' else '-log p(x|z)'}",
        "kl": "KL, D[q||p]",
        "nll": f"{_NLL.get(kind, 'NLL')}, {quantities['nll_samples']} importance samples",
    }
    for name, label in labels.items():
        table.add_row(label, _with_error(quantities, name))
    effective = quantities["nll_effective_samples"]
    table.add_row("effective importance samples, median", f"{effective:.1f} of {quantities['nll_samples']}")
    table.add_row("mutual information I(x; z)", _mutual_information(quantities))
    table.add_row("marginal KL, D[q(z)||p]", _marginal_kl(quantities), end_section=True)
    if quantities["bits_per_dim"] is not None:
        table.add_row("bits per dimension", f"{quantities['bits_per_dim']:.4f}")
    table.add_row("active units", f"{quantities['active_units']} of {len(quantities['kl_per_latent'])}")
    largest_first = sorted(quantities["kl_per_latent"], reverse=True)
    values = " ".join(f"{value:.2f}" for value in largest_first[:8]) + (" ..." if len(largest_first) > 8 else "")
    table.add_row("KL per latent variable, sorted", values)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    if "inference_gap" in quantities:
        console.print(_gap_table(quantities))
    console.print("± is half of a 95 % confidence interval, over images like these")
    if effective < min(_FEW_SAMPLES, quantities["nll_samples"]):
        console.print(
            f"the NLL is too high, and by how much is not known: for half of the images, {effective:.1f} of "
            f"{quantities['nll_samples']} importance samples or fewer count. The encoder's posteriors are too narrow, "
            "or elsewhere than the true ones. gap_images=100 samples from better ones"
        )
    if quantities["mutual_information"] is None:
        console.print(
            f"{quantities['images']:,} images resolve a mutual information well below "
            f"log {quantities['images']:,} = {math.log(quantities['images']):.3f} nats: here they only bound it. "
            "A split with more images tells more"
        )
    for path in paths:
        console.print(f"wrote {path}")


def _mutual_information(quantities: Mapping[str, Any]) -> str:
    """Return the estimate and its interval, or its bounds if there is none."""
    if quantities["mutual_information"] is None:
        return f"{quantities['mutual_information_lower']:.3f} to {quantities['mutual_information_upper']:.3f}"
    return _with_error(quantities, "mutual_information")


def _marginal_kl(quantities: Mapping[str, Any]) -> str:
    if quantities["marginal_kl"] is None:
        return "not known"
    return _with_error(quantities, "marginal_kl")


def _gap_table(quantities: Mapping[str, Any]) -> Table:
    """Return the table of the result of `measure_inference_gap`: a sum of rows from one bound to the next."""
    table = Table(f"first {quantities['gap_images']:,} images, {quantities['gap_steps']:,} steps for each")
    table.add_column("nats per image", justify="right")
    nll = _NLL.get(quantities["nll_kind"], "NLL")
    table.add_row("ELBO of the encoder's posterior", _with_error(quantities, "encoder_elbo"))
    table.add_row("ELBO of the best posterior", _with_error(quantities, "optimized_elbo"))
    table.add_row(f"{nll}, draws from the best", _with_error(quantities, "optimized_nll"), end_section=True)
    table.add_row("amortization gap, the encoder's", _with_error(quantities, "amortization_gap"))
    table.add_row("approximation gap, the family's", _with_error(quantities, "approximation_gap"))
    table.add_row("inference gap, their sum", _with_error(quantities, "inference_gap"))
    return table


def _with_error(quantities: Mapping[str, Any], name: str) -> str:
    """Return a quantity and, if it has a standard error, half of its 95 % confidence interval."""
    error = quantities.get(f"{name}_error")
    return f"{quantities[name]:.3f}" if error is None else f"{quantities[name]:.3f} ± {_HALF_WIDTH * error:.3f}"


@contextlib.contextmanager
def progress_bar(images: int, activity: str = "measuring") -> Iterator[Callable[[float], None]]:
    """Show a progress bar with the time left if the output is a terminal.

    Args:
        images: the number of images to measure.
        activity: what the bar says is done to them.

    Yields:
        A function to call with the images that have been measured since its last call, whole or in parts.
    """
    console = Console()
    with Progress(
        TextColumn(activity),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(activity, total=images)
        yield lambda measured: progress.advance(task, measured)
