"""All that evaluation.json holds."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.evaluation.importance_sampling import importance_weighted_nll
from vae.evaluation.information import mutual_information
from vae.latents import active_units, kl_per_example
from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.random import Stream, row_keys


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
        parameters = model.encoder(images, training=False)
        posterior, prior = model.latent.posterior(parameters), model.prior_distribution()
        z = posterior.sample(row_keys(seed, Stream.EVALUATION_POSTERIOR, first, tf.shape(images)[0]))
        return {
            "parameters": parameters,
            "z": z,
            "kl": kl_per_example(posterior, prior, z),
            "kl_per_latent": posterior.kl_divergence(model.latent.prior()),
            "reconstruction": -model.likelihood.log_prob(images, model.decode(z)),
            "nll": importance_weighted_nll(model, images, nll_samples, seed, first),
        }

    parts: dict[str, list[NDArray[np.float32]]] = {}
    images_seen = 0
    for images in batches:
        for name, value in measure_batch(images, tf.constant(images_seen, tf.int64)).items():
            parts.setdefault(name, []).append(value.numpy())
        images_seen += len(images)
    values = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    kl, reconstruction, nll = (values[name].mean(dtype=np.float64) for name in ("kl", "reconstruction", "nll"))
    posterior = model.latent.posterior(tf.constant(values["parameters"]))
    dimensions = math.prod(model.decoder.output_shape[1:])
    return {
        "elbo": float(-(reconstruction + kl)),
        "reconstruction": float(reconstruction),
        "kl": float(kl),
        "nll": float(nll),
        "nll_samples": nll_samples,
        "bits_per_dim": float(nll / (dimensions * math.log(2)) + model.likelihood.bits_of_density),
        "active_units": int(np.sum(active_units(posterior.mean.numpy(), model.latent.size))),
        **mutual_information(posterior, values["z"], float(kl)),
        "kl_per_latent": values["kl_per_latent"].mean(axis=0, dtype=np.float64).tolist(),
        "images": images_seen,
        "seed": seed,
    }
