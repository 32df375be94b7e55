"""Posteriors and priors: sampling, log-densities, exact divergences, probability vectors."""

from vae.latents.activity import active_units
from vae.latents.discrete import Bernoulli, BernoulliLatent, Categorical, CategoricalLatent
from vae.latents.distribution import Distribution, LatentFamily, kl_per_example
from vae.latents.gaussian import Gaussian, GaussianLatent
from vae.latents.priors import GaussianMixture, MixturePrior, Prior, VampPrior

__all__ = [
    "Bernoulli",
    "BernoulliLatent",
    "Categorical",
    "CategoricalLatent",
    "Distribution",
    "Gaussian",
    "GaussianLatent",
    "GaussianMixture",
    "LatentFamily",
    "MixturePrior",
    "Prior",
    "VampPrior",
    "active_units",
    "kl_per_example",
]
