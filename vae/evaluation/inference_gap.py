"""The inference gap of a model, in nats: the amortization gap and the approximation gap.

Cremer, Li and Duvenaud 2018, "Inference suboptimality in variational autoencoders".
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.errors import UserError
from vae.evaluation.importance_sampling import (
    Advance,
    ImportanceSampler,
    images_a_pass,
    in_parts,
    keys_of_images,
    log_weights,
)
from vae.evaluation.statistics import mean_and_error
from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.random import Stream

DRAWS_A_STEP = 20
STEPS_A_CALL = 50  # between two steps of the progress bar
LEARNING_RATE = 0.05
_DECAYS = (0.9, 0.999)  # of Adam's two moments
_EPSILON = 1e-8


def measure_inference_gap(
    model: VAE,
    batches: Iterable[tf.Tensor],
    images: int,
    steps: int,
    samples: int,
    seed: int,
    advance: Advance = lambda _: None,
) -> dict[str, Any]:
    """Return how far the ELBO is below log p(x), and which part of that is the encoder's, in nats per image.

    With q the encoder's posterior of an image and q* the best one of the same family (see `PosteriorOptimizer`),

        log p(x) - ELBO(q) = (ELBO(q*) - ELBO(q)) + (log p(x) - ELBO(q*)),

    the inference gap is the sum of the amortization gap and the approximation gap: Cremer, Li and Duvenaud 2018,
    "Inference suboptimality in variational autoencoders". A model with a small log p(x) is a worse model; one with a
    large gap has a worse bound. All three gaps are at least 0, up to noise, and smaller is better.

    log p(x) is estimated by importance sampling with q* as the proposal, from the draws that also give ELBO(q*). In
    expectation the estimate is too low, all the more if q* is much narrower than the true posterior, so that the
    approximation gap and the inference gap may be larger than measured: more samples tell. An optimization that has not
    converged moves a part of the amortization gap to the approximation gap.

    Args:
        model: a VAE whose posterior has differentiable draws, such as a Gaussian.
        batches: images `(batch, height, width, channels)` in [0, 1].
        images: the largest number of images to measure, the first ones.
        steps: steps of the optimization.
        samples: draws for each ELBO, and importance samples, per image.
        seed: seed of all noise. An image's noise is a function of the seed and of its index.
        advance: called with the images that have been measured since the last call, whole or in parts; from several
            threads.

    Returns:
        "encoder_elbo", ELBO(q); "optimized_elbo", ELBO(q*); "optimized_nll", the estimate of -log p(x);
        "amortization_gap", "approximation_gap" and "inference_gap". Each is a mean over the images, with its standard
        error under the name with `_error`, None for a single image. Further "gap_images", the number of images that
        were measured, and "gap_steps".

    Raises:
        UserError: if draws of the posterior are not differentiable, as those of discrete latent variables.
    """
    optimizer, sampler = PosteriorOptimizer(model, steps, samples, seed), ImportanceSampler(model, samples, seed)
    measured: list[tuple[NDArray[np.float32], ...]] = []
    count = 0
    for batch in batches:
        part = batch[: images - count]
        if len(part) == 0:
            break
        both = model.encoder(part, training=False), optimizer.parameters(part, count, advance)
        # The same draws for both posteriors, so that the noise of the difference is small
        own, best = (sampler.bounds(part, count, parameters) for parameters in both)
        measured.append((own.elbo, best.elbo, best.nll))
        count += len(part)
    values = (np.concatenate(parts).astype(np.float64) for parts in zip(*measured, strict=True))
    elbo, optimized_elbo, nll = values
    return {
        **mean_and_error("encoder_elbo", elbo),
        **mean_and_error("optimized_elbo", optimized_elbo),
        **mean_and_error("optimized_nll", nll),
        **mean_and_error("amortization_gap", optimized_elbo - elbo),
        **mean_and_error("approximation_gap", -nll - optimized_elbo),
        **mean_and_error("inference_gap", -nll - elbo),
        "gap_images": count,
        "gap_steps": steps,
    }


class PosteriorOptimizer:
    """The posterior with the highest ELBO for each image, within the model's own family, compiled once for a model.

    Adam (Kingma and Ba 2015) maximizes the ELBO over the numbers that the encoder gives for an image, from the
    encoder's own ones, while decoder and prior stay as they are. A step uses 20 draws and the path derivative (Roeder,
    Wu and Duvenaud 2017, "Sticking the landing"), whose noise vanishes where the posterior is the true one; the
    learning rate falls from 0.05 to 0 along a cosine. The result replaces the encoder's posterior if its ELBO is
    higher. That is decided with draws of its own, so that an ELBO from other draws has no bias from the choice.

    Args:
        model: a VAE whose posterior has differentiable draws.
        steps: steps of Adam.
        samples: draws for the choice between the two posteriors.
        seed: seed of the draws.

    Raises:
        UserError: if draws of the posterior are not differentiable.
    """

    def __init__(self, model: VAE, steps: int, samples: int, seed: int) -> None:
        if model.latent.is_relaxed:
            raise UserError(
                f"the inference gap needs draws of z that are differentiable, such as those of latent=gaussian, and "
                f"those of {type(model.latent).__name__} are not"
            )
        self._model, self._steps, self._seed = model, steps, seed
        self._images_a_pass = images_a_pass(model, DRAWS_A_STEP)
        self._sampler = ImportanceSampler(model, samples, seed, Stream.POSTERIOR_SELECTION)
        compiled = are_faster_compiled(model.encoder, model.decoder)
        self._take_steps = tf.function(self._traced_steps, autograph=False, jit_compile=compiled, reduce_retracing=True)

    def parameters(self, images: Any, first: int = 0, advance: Advance = lambda _: None) -> NDArray[np.float32]:
        """Return the parameters of the best posterior of each image, `(batch, parameter_count)` float32.

        `model.latent.posterior` makes the posteriors of them.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            first: index of the first image in its data set. The draws of an image depend only on seed and index.
            advance: called with the images that have been optimized since the last call, whole or in parts; from
                several threads.
        """
        own = np.asarray(self._model.encoder(images, training=False), np.float32)

        def optimize(part: slice) -> NDArray[np.float32]:
            return self._optimized(images[part], own[part], first + part.start, advance)

        found = np.concatenate(in_parts(optimize, len(images), self._images_a_pass))
        before, after = (self._sampler.bounds(images, first, parameters).elbo for parameters in (own, found))
        return np.where((after > before)[:, np.newaxis], found, own)

    def _optimized(
        self, images: Any, start_from: NDArray[np.float32], first: int, advance: Advance
    ) -> NDArray[np.float32]:
        state = (tf.constant(start_from), tf.zeros(start_from.shape), tf.zeros(start_from.shape))
        for start in range(0, self._steps, STEPS_A_CALL):
            end = min(start + STEPS_A_CALL, self._steps)
            place = (tf.constant(value, tf.int64) for value in (first, start, end))
            state = self._take_steps(tf.convert_to_tensor(images), *state, *place)
            state[0].numpy()  # waits: the next call must not be queued before this one is counted
            advance(len(images) * (end - start) / self._steps)
        return np.asarray(state[0])

    def _traced_steps(
        self,
        images: tf.Tensor,
        parameters: tf.Tensor,
        mean: tf.Tensor,
        square: tf.Tensor,
        first: tf.Tensor,
        start: tf.Tensor,
        end: tf.Tensor,
    ) -> tuple[tf.Tensor, ...]:
        """Return the parameters and Adam's two moments, in the parameters' shape, after the steps before `end`."""
        prior = self._model.prior_distribution()

        def step(number: tf.Tensor, parameters: tf.Tensor, *moments: tf.Tensor) -> tuple[tf.Tensor, ...]:
            gradient = self._gradient(images, parameters, prior, first, number)
            gradients, taken = (gradient, tf.square(gradient)), tf.cast(number, tf.float32)
            mean, square = (
                decay * moment + (1.0 - decay) * new
                for decay, moment, new in zip(_DECAYS, moments, gradients, strict=True)
            )
            unbiased = [
                moment / (1.0 - decay ** (taken + 1.0)) for decay, moment in zip(_DECAYS, (mean, square), strict=True)
            ]
            rate = 0.5 * LEARNING_RATE * (1.0 + tf.cos(math.pi * taken / self._steps))
            return number + 1, parameters + rate * unbiased[0] / (tf.sqrt(unbiased[1]) + _EPSILON), mean, square

        return tf.while_loop(lambda number, *_: number < end, step, (start, parameters, mean, square))[1:]

    def _gradient(
        self, images: tf.Tensor, parameters: tf.Tensor, prior: Any, first: tf.Tensor, number: tf.Tensor
    ) -> tf.Tensor:
        """Return the gradient of each image's ELBO with respect to its parameters, estimated from the draws of a step.

        That of log q(z|x) at a fixed z is left out: its expectation is zero.
        """
        keys = keys_of_images(
            self._seed, Stream.POSTERIOR_OPTIMIZATION, first, tf.shape(images)[0], self._steps, number
        )
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(parameters)
            z = self._model.latent.posterior(parameters).sample(keys, DRAWS_A_STEP)
            fixed = self._model.latent.posterior(tf.stop_gradient(parameters))
            elbo = tf.reduce_mean(log_weights(self._model, images, fixed, prior, z), axis=1)
        return tape.gradient(elbo, parameters)
