"""Likelihoods: log p(x|z) per example, in nats, for the decoder's output."""

from vae.likelihoods.base import Likelihood, LogProbKind
from vae.likelihoods.bernoulli import BernoulliLikelihood
from vae.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from vae.likelihoods.gaussian import DequantizedGaussianLikelihood, GaussianLikelihood
from vae.likelihoods.location_scale import LocationScaleLikelihood
from vae.likelihoods.quantized import QuantizedLikelihood

__all__ = [
    "BernoulliLikelihood",
    "DequantizedGaussianLikelihood",
    "DiscretizedLogisticLikelihood",
    "GaussianLikelihood",
    "Likelihood",
    "LocationScaleLikelihood",
    "LogProbKind",
    "QuantizedLikelihood",
]
