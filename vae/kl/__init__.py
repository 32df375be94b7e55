"""The KL regularizers: the contract and one short file per implementation; `divergence`, for plain probabilities.

`import vae.kl` alone is light: a name is resolved, and TensorFlow loaded, when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae.kl.analytic import Analytic
    from vae.kl.backend import Backend
    from vae.kl.batch import MaximumMeanDiscrepancy, TotalCorrelation
    from vae.kl.contract import DirectedKL, KLRegularizer, PerLatentRegularizer
    from vae.kl.divergences import JensenShannon, Renyi
    from vae.kl.keras_loss import KerasLoss
    from vae.kl.monte_carlo import MonteCarlo
    from vae.kl.plain import divergence
    from vae.kl.raw import Raw

__all__ = [
    "Analytic",
    "Backend",
    "DirectedKL",
    "JensenShannon",
    "KLRegularizer",
    "KerasLoss",
    "MaximumMeanDiscrepancy",
    "MonteCarlo",
    "PerLatentRegularizer",
    "Raw",
    "Renyi",
    "TotalCorrelation",
    "divergence",
]

_HOME = {
    "Analytic": "analytic",
    "Backend": "backend",
    "DirectedKL": "contract",
    "JensenShannon": "divergences",
    "KLRegularizer": "contract",
    "KerasLoss": "keras_loss",
    "MaximumMeanDiscrepancy": "batch",
    "MonteCarlo": "monte_carlo",
    "PerLatentRegularizer": "contract",
    "Raw": "raw",
    "Renyi": "divergences",
    "TotalCorrelation": "batch",
    "divergence": "plain",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"vae.kl.{_HOME[name]}"), name)
    raise AttributeError(f"module 'vae.kl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
