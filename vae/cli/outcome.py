"""The table that a user reads at the end of a run."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from vae import invocation
from vae.diagnosis import Finding, format_findings
from vae.runs.paths import RunDirectory
from vae.runs.quantities import AUDIT, QUANTITIES, TRAIN, VALIDATION


def show_outcome(directory: RunDirectory, summary: Mapping[str, Any]) -> None:
    """Print the quantities of the last epoch, the diagnosis, and the commands to go on with.

    Args:
        directory: the run's directory.
        summary: the run's summary, with its diagnosis unless its figures are damaged.
    """
    training = f"{summary['epochs']} epochs, engine={summary['engine']}"
    title = f"kl={summary['kl']}  {weight_of_kl(summary)}  {training}"
    table = Table("nats per image", title=title, title_justify="left")
    for split in (TRAIN, VALIDATION):
        table.add_column(split, justify="right")
    for name, quantity in QUANTITIES.items():
        if quantity.in_outcome:
            table.add_row(quantity.label, *(f"{summary[split][name]:.3f}" for split in (TRAIN, VALIDATION)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    if summary["elbo_kind"] == "cross_entropy":
        console.print(
            "note       grey pixels, Bernoulli likelihood: the ELBO is a cross-entropy bound, not one of log p(x)"
        )
    if summary["model_steps"] != summary["steps"]:
        console.print(
            f"note       a callback restored the weights of step {summary['model_steps']}: the saved model has these, "
            f"and the figures above are of step {summary['steps']}"
        )
    if "diagnosis" in summary:
        console.print(format_findings(Finding(**finding) for finding in summary["diagnosis"]))
    path = shlex.quote(str(directory))
    console.print(f"run        {path}")
    console.print(f"curves     tensorboard --logdir {path}")
    console.print(f"measure    {invocation.call('evaluate')} run={path}")


def weight_of_kl(summary: Mapping[str, Any]) -> str:
    """Return in words the weight that training gave the canonical KL: effective beta, or what stands for it."""
    if summary["effective_beta"] is not None and not math.isnan(summary["effective_beta"]):
        return f"effective beta {summary['effective_beta']:.4g}"
    audit = summary.get(AUDIT, {})
    if not {"local_weight", "residual_share"} <= audit.keys():
        return "no effective beta"
    other = f"{audit['residual_share']:.0%} of the squared gradient in other directions"
    return f"no effective beta: local weight {audit['local_weight']:.3g}, {other}"
