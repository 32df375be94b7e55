"""Standard normal noise whose draws depend on one another, so that the mean over them varies less."""

import math
from typing import Literal

import tensorflow as tf

from vae.random import Key, fold_in, normal_like, uniform_like

Draws = Literal["antithetic", "stratified"]


def dependent_noise(draws: Draws, like: tf.Tensor, samples: int, key: Key) -> tf.Tensor:
    """Return draws of noise, `(batch, ..., samples, latents)`; each of them alone is standard normal.

    Args:
        draws: how the draws depend on one another.
        like: a tensor `(batch, ..., latents)`, of which only the shape counts.
        samples: the number of draws.
        key: the key of the noise.
    """
    first = normal_like(like, fold_in(key, 0))
    others = further_noise(draws, first, samples, fold_in(key, 1))
    return tf.concat([first[..., tf.newaxis, :], others], axis=-2)


def further_noise(draws: Draws, first: tf.Tensor, samples: int, key: Key) -> tf.Tensor:
    """Return the draws after the first, `(batch, ..., samples - 1, latents)`.

    Args:
        draws: "antithetic", each odd draw the mirror image of one before; "stratified", for each latent variable one
            draw in each of `samples` intervals of equal probability, in an order that depends on the first (a Latin
            hypercube; McKay, Beckman and Conover 1979).
        first: the first draw, `(batch, ..., latents)`.
        samples: the number of draws, the first included.
        key: the key of the noise, not that of the first draw.
    """
    return {"antithetic": _antithetic, "stratified": _stratified}[draws](first[..., tf.newaxis, :], samples, key)


def _antithetic(first: tf.Tensor, samples: int, key: Key) -> tf.Tensor:
    own = normal_like(_zeros_like(first, (samples - 1) // 2), key)
    return tf.concat([-first, own, -own], axis=-2)[..., : samples - 1, :]


def _stratified(first: tf.Tensor, samples: int, key: Key) -> tf.Tensor:
    taken = tf.floor(samples * 0.5 * tf.math.erfc(-first / math.sqrt(2.0)))
    others = tf.math.floormod(taken + tf.range(1.0, samples)[:, tf.newaxis], samples)
    quantiles = (others + uniform_like(_zeros_like(first, samples - 1), key)) / samples
    return tf.math.ndtri(tf.clip_by_value(quantiles, 2.0**-24, 1.0 - 2.0**-24))  # finite at 0 and 1


def _zeros_like(first: tf.Tensor, draws: int) -> tf.Tensor:
    return tf.repeat(tf.zeros_like(first), draws, axis=-2)
