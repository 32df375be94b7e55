"""All that evaluation.json holds."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.evaluation.information import mutual_information
from vae.evaluation.likelihood import importance_weighted_nll
from vae.model import VAE, evaluation_noise
from vae.networks import are_faster_compiled

ACTIVE_ABOVE = 0.01


def measure(model: VAE, batches: Iterable[tf.Tensor], nll_samples: int, seed: int) -> dict[str, Any]:
    """Measures a model on batches of images in [0, 1].

    All figures are in nats per image but `bits_per_dim`, `active_units` and the counts. `elbo`, `reconstruction` and
    `kl` take one posterior sample an image; `nll` takes `nll_samples`.

    Args:
        model: a VAE.
        batches: images `(batch, height, width, channels)`.
        nll_samples: importance samples for `nll`; see `importance_weighted_nll`.
        seed: of all noise.
    """

    @tf.function(jit_compile=are_faster_compiled(model.encoder, model.decoder))
    def measure_batch(images: tf.Tensor, first: tf.Tensor) -> dict[str, tf.Tensor]:
        posterior = model.encode(images)
        z = posterior.sample(evaluation_noise(posterior.mean, seed, first))
        return {
            "mu": posterior.mean,
            "log_var": posterior.log_var,
            "z": z,
            "kl": posterior.kl_divergence(model.latent.prior()),
            "reconstruction": -model.likelihood.log_prob(images, model.decode(z)),
            "nll": importance_weighted_nll(model, images, nll_samples, seed, first),
        }

    parts: dict[str, list[NDArray[np.float32]]] = {}
    images_seen = 0
    for images in batches:
        for name, value in measure_batch(images, tf.constant(images_seen, tf.int64)).items():
            parts.setdefault(name, []).append(value.numpy())
        images_seen += len(images)
    values = {name: np.concatenate(arrays).astype(np.float64) for name, arrays in parts.items()}
    kl_per_latent = values["kl"].mean(axis=0)
    kl, reconstruction, nll = float(kl_per_latent.sum()), values["reconstruction"].mean(), values["nll"].mean()
    dimensions = math.prod(model.decoder.output_shape[1:])
    return {
        "elbo": float(-(reconstruction + kl)),
        "reconstruction": float(reconstruction),
        "kl": kl,
        "nll": float(nll),
        "nll_samples": nll_samples,
        "bits_per_dim": float(nll / (dimensions * math.log(2)) + model.likelihood.bits_of_density),
        "active_units": active_units(values["mu"]),
        **mutual_information(values["mu"], values["log_var"], values["z"], kl),
        "kl_per_latent": kl_per_latent.tolist(),
        "images": images_seen,
        "seed": seed,
    }


def active_units(mu: NDArray[np.float64]) -> int:
    """How many latent variables vary: those whose posterior mean has a variance above 0.01 over the images.

    Burda, Grosse and Salakhutdinov 2016, section 5.

    Args:
        mu: posterior means, `(n, latents)`.
    """
    return int(np.sum(np.var(mu, axis=0) > ACTIVE_ABOVE))
