"""The KL regularizers: the contract and one short file per implementation; `divergence`, for plain probabilities."""

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
