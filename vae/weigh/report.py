"""What was measured of a loss, and the sentences that say it."""

import math
from dataclasses import dataclass

from vae.weigh.part import Part
from vae.weigh.reduction import Sizes


@dataclass(frozen=True)
class Report:
    """What a loss weighs.

    Args:
        called: how the loss was called, in words.
        sizes: of the arguments.
        parts: the reconstruction, if the loss takes one, and the KL.
        notes: what else a reader should know: mistakes, and what was assumed.
        canonical: the line of code that is the canonical loss.
    """

    called: str
    sizes: Sizes
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    canonical: str

    @property
    def reconstruction(self) -> Part | None:
        """The reconstruction term; None for a loss without one."""
        return self.parts[0] if len(self.parts) == 2 else None

    @property
    def kl(self) -> Part:
        """The KL term."""
        return self.parts[-1]

    @property
    def effective_beta(self) -> float | None:
        """The weight of a nat of KL relative to a nat of reconstruction, with a Gaussian's sigma or a Laplace's b of 1.

        None where the loss is no such sum, so that no single number describes it.
        """
        if self.reconstruction is None or self.reconstruction.problem or self.kl.problem:
            return None
        return self.kl.weight / self.reconstruction.weight

    @property
    def scale_of_beta_1(self) -> float | None:
        """The Gaussian's sigma with which the loss has an effective beta of 1; None for another likelihood."""
        beta = self.effective_beta
        if beta is None or beta <= 0.0 or self._scale != "sigma":
            return None
        return math.sqrt(beta)

    @property
    def _scale(self) -> str:
        likelihood = self.reconstruction.likelihood if self.reconstruction else None
        return likelihood.scale if likelihood else ""
