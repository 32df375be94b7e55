"""The measurements of a run from which its problems are found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vae.runs.quantities import AUDIT, TRAIN, TRAINED, VALIDATION, QuantityName

#: Share of a squared gradient in other directions than the KL's, up to which a term is the KL with another weight
SAME_DIRECTION = 0.1
#: Standard errors that an estimate may be off
ERRORS = 4.0


@dataclass(frozen=True)
class Measurements:
    """The measurements of a run, from its files.

    One that a run does not have, because it is of an earlier version or has no audit, is NaN. A comparison with NaN is
    false: a rule that compares in the sense in which it finds its problem is then silent.

    Args:
        summary: the content of summary.json.
        options: the configuration's options by their dotted names.
    """

    summary: Mapping[str, Any]
    options: Mapping[str, Any]

    def audit(self, quantity: str, default: float = math.nan) -> float:
        """Return an audited quantity: the trained regularizer's, or the model's if it is not of a regularizer."""
        values = self.summary.get(AUDIT, {})
        trained = QuantityName(AUDIT, quantity, TRAINED).within_split
        return _number(values.get(trained, values.get(quantity)), default)

    @property
    def kl(self) -> float:
        """The canonical KL on the validation split, in nats."""
        return float(self.summary[VALIDATION]["kl"])

    @property
    def regularizer(self) -> float:
        """The trained regularizer, before beta, in nats: the smaller of training's and validation's."""
        return min(float(self.summary[split]["regularizer"]) for split in (TRAIN, VALIDATION))

    @property
    def beta(self) -> float:
        """The beta of the last epoch."""
        return float(self.summary[TRAIN]["beta"])

    @property
    def final_beta(self) -> float:
        """The beta that the schedule ends with."""
        return float(self.options.get("beta.value", self.beta))

    @property
    def effective_beta(self) -> float:
        """The weight of the canonical KL in the last epoch; NaN if the trained term is not a multiple of it."""
        return _number(self.summary.get("effective_beta"))

    @property
    def weight(self) -> float:
        """The weight that training gave the canonical KL in the last epoch.

        Effective beta; if there is none, the local weight; NaN if that is an estimate within its error of 0, or not
        known.
        """
        if not math.isnan(self.effective_beta):
            return self.effective_beta
        local = self.audit("local_weight")
        is_uncertain = self.is_estimate and abs(local) <= ERRORS * self.audit("local_weight_error")
        return math.nan if is_uncertain else local

    @property
    def is_estimate(self) -> bool:
        """True if the trained term draws samples."""
        return not math.isnan(self.audit("local_weight_error"))

    @property
    def is_exact(self) -> bool:
        """True if the trained term draws no samples; False also if the run does not tell."""
        return not math.isnan(self.audit("local_weight")) and not self.is_estimate

    @property
    def is_another_divergence(self) -> bool:
        """True if the regularizer is not meant to be the KL; False also if the run does not tell."""
        return not self.summary.get("estimates_kl", True)

    @property
    def direction(self) -> str:
        """The direction of the regularizer."""
        return str(self.options.get("kl.direction", "forward"))

    @property
    def has_plain_objective(self) -> bool:
        """True if the trained term is beta times the regularizer, without free bits and capacity."""
        return not self.options.get("objective.free_bits") and self.options.get("objective.capacity") in (None, "None")

    @property
    def scale(self) -> float:
        """The weight of the KL in the regularizer, before beta and the objective; NaN if it is not known.

        Of a term that draws no samples it is the length of its gradient over that of the exact KL's.
        """
        if self.is_exact:
            return self.audit("gradient_length_ratio")
        if self.beta <= 0.0:
            return math.nan
        if self.is_estimate:
            residual = self.audit("residual_share") - ERRORS * self.audit("residual_share_error")
            is_kl = self.has_plain_objective and residual < SAME_DIRECTION
            return self.audit("local_weight") / self.beta if is_kl else math.nan
        cosine = self.audit("gradient_cosine", 1.0)  # 0.1.0 has no better evidence that effective beta means something
        return self.effective_beta / self.beta if cosine**2 > 1.0 - SAME_DIRECTION else math.nan

    @property
    def scale_error(self) -> float:
        """The standard error of `scale`; 0 if no samples are drawn."""
        return self.audit("local_weight_error") / self.beta if self.is_estimate else 0.0

    @property
    def missed_share(self) -> float:
        """The share of the KL that the regularizer misses on the audit's batch, apart from its reduction.

        NaN if the reduction is not known: `kl=keras_loss kl.reduction=sum` depends on the size of that batch.
        """
        value, exact = self.audit("value"), self.audit("value") - self.audit("gap")
        reduction = self.options.get("kl.reduction", "none")
        if reduction != "none" and self.options.get("kl.calibrate") is not True:
            value *= math.nan if reduction == "sum" else float(self.options.get("latent.size", math.nan))
        return (exact - value) / exact if exact > 0.0 else math.nan


def _number(value: Any, default: float = math.nan) -> float:
    return default if value is None else float(value)
