"""The KL regularizers: the contract and one short file per implementation."""

from vae.kl.analytic import Analytic
from vae.kl.backend import Backend
from vae.kl.contract import DirectedKL, KLRegularizer
from vae.kl.keras_loss import KerasLoss

__all__ = ["Analytic", "Backend", "DirectedKL", "KLRegularizer", "KerasLoss"]
