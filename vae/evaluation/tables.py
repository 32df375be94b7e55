"""What a person reads when a model has been measured."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table


def show_figures(figures: Mapping[str, Any], paths: Sequence[Path]) -> None:
    """Prints the figures of `measure` as a table, and the files that were written."""
    table = Table(f"{figures['split']} split, {figures['images']:,} images", title_justify="left")
    table.add_column("nats per image", justify="right")
    nll = f"NLL, {figures['nll_samples']} importance samples"
    labels = {"elbo": "ELBO, higher is better", "reconstruction": "reconstruction, -log p(x|z)", "kl": "KL, D[q||p]"}
    for name, label in {**labels, "nll": nll}.items():
        table.add_row(label, f"{figures[name]:.3f}")
    table.add_row("mutual information I(x; z)", f"{figures['mutual_information']:.3f}")
    table.add_row("marginal KL, D[q(z)||p]", f"{figures['marginal_kl']:.3f}", end_section=True)
    table.add_row("bits per dimension", f"{figures['bits_per_dim']:.4f}")
    table.add_row("active units", f"{figures['active_units']} of {len(figures['kl_per_latent'])}")
    ordered = sorted(figures["kl_per_latent"], reverse=True)
    shown = " ".join(f"{value:.2f}" for value in ordered[:8]) + (" ..." if len(ordered) > 8 else "")
    table.add_row("KL per latent variable, sorted", shown)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    for path in paths:
        console.print(f"wrote {path}")


def with_progress(batches: Iterable[Any], count: int) -> Iterable[Any]:
    """The batches, with a progress bar on a terminal."""
    console = Console()
    return track(batches, "measuring", count, console=console, disable=not console.is_terminal)
