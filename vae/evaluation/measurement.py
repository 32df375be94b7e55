"""The quantities in evaluation.json.

`model.evaluate`, and with it the validation during training, and `measure_model` take the canonical terms of an
example from one function, `VAE.per_example_terms`. Two loops average them, because Keras keeps running means over
batches, while the mutual information and the active units need the posteriors of all examples at once.
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.evaluation.importance_sampling import Advance, ImportanceSampler
from vae.evaluation.information import mutual_information
from vae.evaluation.statistics import mean_and_error
from vae.latents import active_units
from vae.likelihoods import LogProbKind
from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.random import Stream, row_keys

IMAGES_AT_A_TIME = 400


def measure_model(
    model: VAE,
    batches: Iterable[tf.Tensor],
    nll_samples: int,
    seed: int,
    advance: Advance = lambda _: None,
) -> dict[str, Any]:
    """Return the quantities of a model on a data set, by name.

    All are means over the images in nats, except `nll_kind`, `bits_per_dim`, `active_units`, `nll_samples`, `images`
    and `seed`. `nll_kind` tells of what `nll` is the negative logarithm (`vae.likelihoods.LogProbKind`). `bits_per_dim`
    is the length of a code of the images as stored, and None unless `nll_kind` is "probability".
    `elbo`, `reconstruction` and `kl` use one posterior sample per image, as in `model.evaluate`; `nll` uses
    `nll_samples`. `nll_error` is the standard error of its mean over the images, and None for one image.
    `nll_effective_samples` is the median over the images of `Bounds.effective_samples`.

    Args:
        model: a VAE.
        batches: images `(batch, height, width, channels)` in [0, 1]. At most 400 are computed at a time, whatever their
            number, so that a large batch takes no more memory.
        nll_samples: number of importance samples per image (`importance_weighted_nll`).
        seed: seed of all noise.
        advance: called with the images that have been measured since the last call, whole or in parts.
    """
    sampler = ImportanceSampler(model, nll_samples, seed)

    @tf.function(autograph=False, jit_compile=are_faster_compiled(model.encoder, model.decoder))
    def measure_batch(images: tf.Tensor, first: tf.Tensor) -> dict[str, tf.Tensor]:
        parameters = model.encoder(images, training=False)
        posterior, prior = model.latent.posterior(parameters), model.prior_distribution()
        z = posterior.sample(row_keys(seed, Stream.EVALUATION_POSTERIOR, first, tf.shape(images)[0]))
        return {
            **model.per_example_terms(images, posterior, prior, z, model.decode(z)),
            "parameters": parameters,
            "z": z,
            "kl_per_latent": posterior.kl_divergence(model.latent.prior()),
        }

    parts: dict[str, list[NDArray[np.float32]]] = {}
    count = 0
    kind: LogProbKind = "probability"
    for batch in batches:
        for start in range(0, len(batch), IMAGES_AT_A_TIME):
            images = batch[start : start + IMAGES_AT_A_TIME]
            if kind == "probability":
                kind = model.likelihood.kind_of(images)
            for name, value in measure_batch(images, tf.constant(count, tf.int64)).items():
                parts.setdefault(name, []).append(value.numpy())
            bounds = sampler.bounds(images, count, advance=advance)
            for name in ("nll", "effective_samples"):
                parts.setdefault(name, []).append(getattr(bounds, name))
            count += len(images)
    values = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    kl, reconstruction = (values[name].mean(dtype=np.float64) for name in ("kl", "reconstruction"))
    nll = mean_and_error("nll", values["nll"])
    posterior = model.latent.posterior(tf.constant(values["parameters"]))
    dimensions = math.prod(model.decoder.output_shape[1:])
    return {
        "elbo": float(-(reconstruction + kl)),
        "reconstruction": float(reconstruction),
        "kl": float(kl),
        **nll,
        "nll_kind": kind,
        "nll_samples": nll_samples,
        "nll_effective_samples": float(np.median(values["effective_samples"])),
        "bits_per_dim": nll["nll"] / (dimensions * math.log(2)) if kind == "probability" else None,
        "active_units": int(np.sum(active_units(posterior.mean.numpy(), model.latent.size))),
        **mutual_information(posterior, values["z"], values["kl"]),
        "kl_per_latent": values["kl_per_latent"].mean(axis=0, dtype=np.float64).tolist(),
        "images": count,
        "seed": seed,
    }


def marked_non_finite(quantities: Mapping[str, Any]) -> dict[str, Any]:
    """Return quantities with the names of those that are NaN or infinite as `not_finite`, and warn of them.

    A file of JSON has null in their place. If all are finite, there is no `not_finite`.

    Args:
        quantities: the quantities by name, numbers or lists of numbers among them.
    """
    names = [name for name, value in quantities.items() if not _is_finite(value)]
    if not names:
        return dict(quantities)
    warnings.warn(f"{', '.join(names)}: NaN or infinite, written as null: the model has diverged", stacklevel=2)
    return {**quantities, "not_finite": names}


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
