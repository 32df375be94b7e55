"""What a person reads when a run has ended."""

import shlex

from rich.console import Console
from rich.table import Table

from vae.diagnosis import Finding, in_words
from vae.training.record import RunRecord

_SHOWN = (
    ("elbo", "ELBO, higher is better"),
    ("reconstruction", "reconstruction, -log p(x|z)"),
    ("kl", "KL, D[q||p]"),
    ("regularizer", "regularizer, as trained"),
)


def show_outcome(record: RunRecord) -> None:
    """Prints the last epoch's figures, where the run lies, and the commands that come next."""
    summary = record.summary
    how = f"{summary['epochs']} epochs, engine={summary['engine']}"
    title = f"kl={summary['kl']}  effective beta {summary['effective_beta']:.4g}  {how}"
    table = Table("nats per image", title=title, title_justify="left")
    for split in ("train", "validation"):
        table.add_column(split, justify="right")
    for name, label in _SHOWN:
        table.add_row(label, *(f"{summary[split][name]:.3f}" for split in ("train", "validation")))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    console.print(in_words(Finding(**finding) for finding in summary["diagnosis"]))
    directory = shlex.quote(str(record.directory))
    console.print(f"run        {directory}")
    console.print(f"curves     tensorboard --logdir {directory}")
    console.print(f"measure    python evaluate.py run={directory}")
