"""One of the two terms of a loss, as measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from vae.weigh.fitting import Fit
from vae.weigh.formulas import Likelihood
from vae.weigh.point import Elementwise, Field
from vae.weigh.reduction import Reduction


@dataclass(frozen=True)
class Part:
    """One of the two terms of a loss.

    Args:
        name: "reconstruction" or "KL".
        fields: the arguments by which the loss is differentiated.
        words: what the term is.
        formula: the term of which it is a multiple, or the nearest that is known.
        fit: the loss's gradient as a multiple of the formula's.
        problem: why it is no multiple of the right term, or of none; "" if it is one.
        likelihood: of the reconstruction; None for the KL.
        reduction: how the weight depends on the sizes; None if there is a problem.
    """

    name: str
    fields: Sequence[Field]
    words: str
    formula: Elementwise
    fit: Fit
    problem: str = ""
    likelihood: Likelihood | None = None
    reduction: Reduction | None = None

    @property
    def weight(self) -> float:
        """The weight of the term in nats, summed over pixels or latent variables and averaged over examples."""
        return self.fit.weight
