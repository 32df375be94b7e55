"""The marginal likelihood, estimated by importance sampling."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.random import Key, Stream, row_keys

SAMPLES_A_PASS = 50
PASSES_A_CALL = 10  # between two steps of the progress bar
#: Numbers in the decoder's largest layer in a pass: 8 MB, which fit a processor's cache and make a fast matrix product
_UNITS_A_PASS = 2_000_000
_IMAGES_A_PASS = 250
_PARTS_AT_A_TIME = 2  # one computes while the other's small operations keep a single core busy


class ImportanceSampler:
    """The estimate of -log p(x) by importance sampling, in nats, compiled once for a model.

    -log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x): Burda, Grosse and Salakhutdinov 2016, "Importance
    weighted autoencoders". In expectation it is too high, the less so the more samples it uses.

    A pass decodes 50 samples of a few images, and adds their weights to running sums, so that time grows with the
    number of samples and memory does not.

    Args:
        model: a VAE.
        samples: K.
        seed: seed of the samples.
    """

    def __init__(self, model: VAE, samples: int, seed: int) -> None:
        self._model, self._samples, self._seed = model, samples, seed
        self._passes = math.ceil(samples / SAMPLES_A_PASS)
        outputs = keras.tree.flatten([layer.output for layer in model.decoder.layers])
        units = max(math.prod(output.shape[1:]) for output in outputs)
        self._images_a_pass = max(1, min(_IMAGES_A_PASS, _UNITS_A_PASS // (SAMPLES_A_PASS * units)))
        compiled = are_faster_compiled(model.encoder, model.decoder)
        self._add_passes = tf.function(
            self._traced_passes, autograph=False, jit_compile=compiled, reduce_retracing=True
        )

    def nll(self, images: Any, first: int = 0, advance: Callable[[float], Any] = lambda _: None) -> NDArray[np.float32]:
        """Return the estimate for each image, `(batch,)` float32.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            first: index of the first image in its data set. The samples of an image depend only on seed and index.
            advance: called with the images that have been measured since the last call, whole or in parts; from
                several threads.
        """
        parts = math.ceil(len(images) / self._images_a_pass)
        size = math.ceil(len(images) / parts)  # equal sizes, since each is compiled
        starts = range(0, len(images), size)
        with ThreadPoolExecutor(_PARTS_AT_A_TIME) as threads:
            return np.concatenate(
                list(threads.map(lambda at: self._nll(images[at : at + size], first + at, advance), starts))
            )

    def _nll(self, images: Any, first: int, advance: Callable[[float], Any]) -> NDArray[np.float32]:
        log_sum = tf.fill([len(images)], tf.constant(-np.inf, tf.float64))
        for start in range(0, self._passes, PASSES_A_CALL):
            end = min(start + PASSES_A_CALL, self._passes)
            place = (tf.constant(value, tf.int64) for value in (first, start, end))
            log_sum = self._add_passes(tf.convert_to_tensor(images), log_sum, *place)
            log_sum.numpy()  # waits: the next call must not be queued before this one is counted
            advance(len(images) * (end - start) / self._passes)
        return np.asarray(math.log(self._samples) - log_sum.numpy(), np.float32)

    def _traced_passes(
        self, images: tf.Tensor, log_sum: tf.Tensor, first: tf.Tensor, start: tf.Tensor, end: tf.Tensor
    ) -> tf.Tensor:
        """Return the logarithms of the running sums of weights, `(batch,)` float64, after the passes before `end`."""
        model, batch = self._model, tf.shape(images)[0]
        posterior, prior = model.encode(images), model.prior_distribution()
        posterior_of_samples = posterior.with_sample_axis()
        prior_of_samples = prior.with_sample_axis() if prior.factorized else prior

        def add_pass(number: tf.Tensor, log_sum: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            count = tf.cast(batch, tf.int64) * self._passes
            every = row_keys(self._seed, Stream.IMPORTANCE_SAMPLES, first * self._passes + number, count)
            z = posterior.sample(Key(every.value[:: self._passes]), SAMPLES_A_PASS)
            parameters = model.decode(tf.reshape(z, [-1, model.latent.z_size]))
            parameters = tf.reshape(parameters, [-1, SAMPLES_A_PASS, *parameters.shape[1:]])
            log_likelihood = model.likelihood.log_prob_of_samples(images, parameters)
            log_prior = tf.reduce_sum(prior_of_samples.log_prob(z), axis=-1)
            log_posterior = tf.reduce_sum(posterior_of_samples.log_prob(z), axis=-1)
            log_weights = log_likelihood + (log_prior - log_posterior)
            wanted = number * SAMPLES_A_PASS + tf.range(SAMPLES_A_PASS, dtype=tf.int64) < self._samples
            log_weights = tf.where(wanted, tf.cast(log_weights, tf.float64), tf.constant(-np.inf, tf.float64))
            both = tf.concat([log_sum[:, tf.newaxis], log_weights], axis=1)
            return number + 1, tf.reduce_logsumexp(both, axis=1)

        _, log_sum = tf.while_loop(lambda number, _: number < end, add_pass, (start, log_sum))
        return log_sum


def importance_weighted_nll(model: VAE, images: Any, samples: int, seed: int, first: int = 0) -> NDArray[np.float32]:
    """Return an estimate of -log p(x) for each image, in nats, `(batch,)` float32: see `ImportanceSampler`.

    Args:
        model: a VAE.
        images: `(batch, height, width, channels)` in [0, 1].
        samples: K.
        seed: seed of the samples.
        first: index of the first image in its data set. The samples of an image depend only on seed and index.
    """
    return ImportanceSampler(model, samples, seed).nll(images, first)
