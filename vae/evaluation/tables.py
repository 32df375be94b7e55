"""Terminal output of an evaluation."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
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
        "mutual_information": "mutual information I(x; z)",
        "marginal_kl": "marginal KL, D[q(z)||p]",
    }
    for name, label in labels.items():
        table.add_row(label, f"{quantities[name]:.3f}", end_section=name == "marginal_kl")
    if quantities["bits_per_dim"] is not None:
        table.add_row("bits per dimension", f"{quantities['bits_per_dim']:.4f}")
    table.add_row("active units", f"{quantities['active_units']} of {len(quantities['kl_per_latent'])}")
    largest_first = sorted(quantities["kl_per_latent"], reverse=True)
    values = " ".join(f"{value:.2f}" for value in largest_first[:8]) + (" ..." if len(largest_first) > 8 else "")
    table.add_row("KL per latent variable, sorted", values)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    for path in paths:
        console.print(f"wrote {path}")


def with_progress_bar(batches: Iterable[Any], count: int) -> Iterable[Any]:
    """Return an iterable over the batches that shows a progress bar if the output is a terminal.

    Args:
        batches: the batches.
        count: their number.
    """
    console = Console()
    return track(batches, "measuring", count, console=console, disable=not console.is_terminal)
