"""The marginal likelihood, estimated by importance sampling."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.random import Key, Stream, row_keys

Advance = Callable[[float], Any]
Result = TypeVar("Result")

SAMPLES_A_PASS = 50
PASSES_A_CALL = 10  # between two steps of the progress bar
#: Numbers in the decoder's largest layer in a pass: 8 MB, which fit a processor's cache and make a fast matrix product
_UNITS_A_PASS = 2_000_000
_IMAGES_A_PASS = 250
_PARTS_AT_A_TIME = 2  # one computes while the other's small operations keep a single core busy


class Bounds(NamedTuple):
    """Estimates for each image from the same importance samples, `(batch,)` float32 each.

    Attributes:
        elbo: the ELBO, in nats.
        nll: -log p(x), in nats.
        effective_samples: (sum_k w_k)^2 / sum_k w_k^2, from 1 to K (Kong 1992): K if all weights are equal. If it is
            near 1, a single sample makes up the estimate of -log p(x), which is then too high by an unknown amount.
    """

    elbo: NDArray[np.float32]
    nll: NDArray[np.float32]
    effective_samples: NDArray[np.float32]


class ImportanceSampler:
    """The estimates of -log p(x) and of the ELBO by importance sampling, in nats, compiled once for a model.

    With the weights w_k = p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x), the first is -log (1/K) sum_k w_k: Burda, Grosse
    and Salakhutdinov 2016, "Importance weighted autoencoders". In expectation it is too high, the less so the more
    samples it uses. The second is (1/K) sum_k log w_k, without bias.

    A pass decodes 50 samples of a few images, and adds their weights to running sums, so that time grows with the
    number of samples and memory does not.

    Args:
        model: a VAE.
        samples: K.
        seed: seed of the samples.
        stream: stream of the samples.
    """

    def __init__(self, model: VAE, samples: int, seed: int, stream: Stream = Stream.IMPORTANCE_SAMPLES) -> None:
        self._model, self._samples, self._seed, self._stream = model, samples, seed, stream
        self._passes = math.ceil(samples / SAMPLES_A_PASS)
        self._images_a_pass = images_a_pass(model, SAMPLES_A_PASS)
        compiled = are_faster_compiled(model.encoder, model.decoder)
        self._add_passes = tf.function(
            self._traced_passes, autograph=False, jit_compile=compiled, reduce_retracing=True
        )

    def nll(self, images: Any, first: int = 0, advance: Advance = lambda _: None) -> NDArray[np.float32]:
        """Return the estimate of -log p(x) for each image, `(batch,)` float32.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            first: index of the first image in its data set. The samples of an image depend only on seed and index.
            advance: called with the images that have been measured since the last call, whole or in parts; from
                several threads.
        """
        return self.bounds(images, first, None, advance).nll

    def bounds(self, images: Any, first: int = 0, parameters: Any = None, advance: Advance = lambda _: None) -> Bounds:
        """Return the ELBO and the estimate of -log p(x) for each image, and how many samples are effective.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            first: index of the first image in its data set. The samples of an image depend only on seed and index.
            parameters: parameters of the posteriors to draw from, `(batch, parameter_count)`; None for the encoder's.
            advance: as in `nll`.
        """

        def measure(part: slice) -> Bounds:
            own = None if parameters is None else tf.convert_to_tensor(parameters[part])
            return self._bounds(images[part], own, first + part.start, advance)

        parts = in_parts(measure, len(images), self._images_a_pass)
        return Bounds(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _bounds(self, images: Any, parameters: tf.Tensor | None, first: int, advance: Advance) -> Bounds:
        nothing = tf.fill([len(images)], tf.constant(-np.inf, tf.float64))
        sums = (tf.zeros([len(images)], tf.float64), nothing, nothing)
        for start in range(0, self._passes, PASSES_A_CALL):
            end = min(start + PASSES_A_CALL, self._passes)
            place = (tf.constant(value, tf.int64) for value in (first, start, end))
            sums = self._add_passes(tf.convert_to_tensor(images), parameters, *sums, *place)
            sums[0].numpy()  # waits: the next call must not be queued before this one is counted
            advance(len(images) * (end - start) / self._passes)
        total, log_sum, log_squares = (array.numpy() for array in sums)
        found = (total / self._samples, math.log(self._samples) - log_sum, np.exp(2.0 * log_sum - log_squares))
        return Bounds(*(array.astype(np.float32) for array in found))

    def _traced_passes(
        self,
        images: tf.Tensor,
        parameters: tf.Tensor | None,
        total: tf.Tensor,
        log_sum: tf.Tensor,
        log_squares: tf.Tensor,
        first: tf.Tensor,
        start: tf.Tensor,
        end: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """Return the running sums after the passes before `end`, `(batch,)` float64 each.

        They are the sum of the logarithms of the weights, and the logarithms of the sum of the weights and of the sum
        of their squares.
        """
        model, batch = self._model, tf.shape(images)[0]
        posterior = model.encode(images) if parameters is None else model.latent.posterior(parameters)
        prior = model.prior_distribution()

        def add_pass(number: tf.Tensor, total: tf.Tensor, *log_sums: tf.Tensor) -> tuple[tf.Tensor, ...]:
            keys = keys_of_images(self._seed, self._stream, first, batch, self._passes, number)
            z = posterior.sample(keys, SAMPLES_A_PASS)
            values = tf.cast(log_weights(model, images, posterior, prior, z), tf.float64)
            wanted = number * SAMPLES_A_PASS + tf.range(SAMPLES_A_PASS, dtype=tf.int64) < self._samples
            total += tf.reduce_sum(tf.where(wanted, values, tf.constant(0.0, tf.float64)), axis=1)
            values = tf.where(wanted, values, tf.constant(-np.inf, tf.float64))
            added = (
                tf.reduce_logsumexp(tf.concat([log_sum[:, tf.newaxis], power * values], axis=1), axis=1)
                for power, log_sum in zip((1.0, 2.0), log_sums, strict=True)
            )
            return number + 1, total, *added

        sums = (start, total, log_sum, log_squares)
        return tf.while_loop(lambda number, *_: number < end, add_pass, sums)[1:]


def log_weights(model: VAE, images: tf.Tensor, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
    """Return log p(x|z) + log p(z) - log q(z|x) in nats, `(batch, samples)`: its mean over z ~ q is the ELBO.

    Args:
        model: a VAE.
        images: `(batch, height, width, channels)` in [0, 1].
        posterior: q(z|x) of the images.
        prior: p(z).
        z: `(batch, samples, z_size)`.
    """
    parameters = model.decode(tf.reshape(z, [-1, model.latent.z_size]))
    parameters = tf.reshape(parameters, [-1, z.shape[1], *parameters.shape[1:]])
    log_likelihood = model.likelihood.log_prob_of_samples(images, parameters)
    prior = prior.with_sample_axis() if prior.factorized else prior
    log_prior = tf.reduce_sum(prior.log_prob(z), axis=-1)
    log_posterior = tf.reduce_sum(posterior.with_sample_axis().log_prob(z), axis=-1)
    return log_likelihood + (log_prior - log_posterior)


def keys_of_images(seed: int, stream: Stream, first: tf.Tensor, count: Any, draws: int, number: tf.Tensor) -> Key:
    """Return a key for each of `count` images: that of draw `number` of `draws`, which depends on the image's index.

    Args:
        seed: the seed.
        stream: the purpose of the draws.
        first: index of the first image in its data set.
        count: the number of images.
        draws: the number of draws of each image.
        number: which of them.
    """
    every = row_keys(seed, stream, first * draws + number, tf.cast(count, tf.int64) * draws)
    return Key(every.value[::draws])


def images_a_pass(model: VAE, samples: int) -> int:
    """Return the number of images of which so many samples are decoded at a time, by the decoder's largest layer."""
    outputs = keras.tree.flatten([layer.output for layer in model.decoder.layers])
    units = max(math.prod(output.shape[1:]) for output in outputs)
    return max(1, min(_IMAGES_A_PASS, _UNITS_A_PASS // (samples * units)))


def in_parts(measure: Callable[[slice], Result], count: int, largest: int) -> list[Result]:
    """Return what a function returns for parts of `count` images, two at a time, in order.

    Args:
        measure: a function of a part of the images.
        count: the number of images.
        largest: the largest number of images in a part.
    """
    size = math.ceil(count / math.ceil(count / largest))  # equal sizes, since each is compiled
    with ThreadPoolExecutor(_PARTS_AT_A_TIME) as threads:
        return list(threads.map(measure, [slice(start, start + size) for start in range(0, count, size)]))


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
