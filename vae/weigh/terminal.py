"""A report in the terminal."""

from rich.console import Console
from rich.table import Table

from vae.weigh.reduction_words import beta_words, number, reduction_words, weight_words
from vae.weigh.report import Report
from vae.weigh.sentences import remedy


def show(target: str, report: Report) -> None:
    """Print a report: the two terms, the effective beta, the notes and the canonical loss."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    sizes = report.sizes
    images = f"images {(sizes.batch, *sizes.shape)}, " if report.reconstruction else ""
    console.print(f"{target}, {report.called}")
    console.print(f"measured on {images}mu {(sizes.batch, *sizes.latents)}; --shape, --latents and --batch change that")
    lines = Table.grid("", "", padding=(0, 2))
    for part in report.parts:
        lines.add_row(part.name, part.words)
        if part.reduction:
            lines.add_row("", f"weight {weight_words(part.reduction)}: {reduction_words(part)}")
        lines.add_row("", f"cosine {number(part.fit.cosine)} with the gradient of {_EXACT[part.name]}")
    lines.add_row("effective beta", _beta(report), style="bold")
    for note in report.notes:
        lines.add_row("note", note)
    lines.add_row("for beta 1", remedy(report.parts))
    console.print(lines)
    console.print(f"canonical       loss = {report.canonical}{_scale_comment(report)}")


_EXACT = {"reconstruction": "the nearest -log p(x|z)", "KL": "D[q||p]"}


def _scale_comment(report: Report) -> str:
    likelihood = report.reconstruction.likelihood if report.reconstruction else None
    return f"  # {likelihood.scale} = 1" if likelihood and likelihood.scale else ""


def _beta(report: Report) -> str:
    """Return the effective beta in words, or why there is none."""
    if report.reconstruction is None:
        return "unknown without a reconstruction: it is the weight of the KL divided by the reconstruction's"
    if report.effective_beta is None:
        return "none: no single number describes this loss"
    assert report.kl.reduction is not None
    assert report.reconstruction.reduction is not None
    words = beta_words(report.kl.reduction, report.reconstruction.reduction)
    likelihood = report.reconstruction.likelihood
    if likelihood is None or not likelihood.scale:
        return words
    words += f" at {likelihood.scale} = 1"
    if report.scale_of_beta_1 is not None:
        words += f", or 1 at sigma = {number(report.scale_of_beta_1)}"
    return words
