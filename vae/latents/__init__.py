"""Posteriors and priors: sampling, log-densities, exact divergences, probability vectors."""

from vae.latents.gaussian import Gaussian, GaussianLatent

__all__ = ["Gaussian", "GaussianLatent"]
