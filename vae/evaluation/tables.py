"""Terminal output of an evaluation."""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

#: What the NLL is called if it is not -log p(x) of the images as they are stored
_NLL = {
    "density": "NLL of a density",
    "cross_entropy": "cross-entropy bound, no NLL",
    "rounded": "NLL of the images rounded to the model's levels",
}


def print_quantities(quantities: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Print a table of the quantities in evaluation.json, and the files that were written.

    Args:
        quantities: "split", and the result of `measure_model`.
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
        table.add_row(label, f"{quantities[name]:.3f}")
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
    if quantities["mutual_information"] is None:
        console.print(
            f"{quantities['images']:,} images resolve a mutual information well below "
            f"log {quantities['images']:,} = {math.log(quantities['images']):.3f} nats: here they only bound it. "
            "A split with more images tells more"
        )
    for path in paths:
        console.print(f"wrote {path}")


def _mutual_information(quantities: Mapping[str, Any]) -> str:
    """Return the estimate and its standard error, or its bounds if there is none."""
    if quantities["mutual_information"] is None:
        return f"{quantities['mutual_information_lower']:.3f} to {quantities['mutual_information_upper']:.3f}"
    return f"{quantities['mutual_information']:.3f} ± {quantities['mutual_information_error']:.3f}"


def _marginal_kl(quantities: Mapping[str, Any]) -> str:
    if quantities["marginal_kl"] is None:
        return "not known"
    return f"{quantities['marginal_kl']:.3f} ± {quantities['marginal_kl_error']:.3f}"


@contextlib.contextmanager
def progress_bar(images: int) -> Iterator[Callable[[float], None]]:
    """Show a progress bar with the time left if the output is a terminal.

    Args:
        images: the number of images to measure.

    Yields:
        A function to call with the images that have been measured since its last call, whole or in parts.
    """
    console = Console()
    with Progress(
        TextColumn("measuring"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("measuring", total=images)
        yield lambda measured: progress.advance(task, measured)
