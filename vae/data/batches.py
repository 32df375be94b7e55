"""Batches of float32 images in [0, 1], whose order and binarization are functions of seed, epoch and batch."""

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.noise import Stream, key, keys, uniform_like, uniform_rows

BINARIZATIONS = ("none", "threshold", "dynamic")


def training_batches(
    images: NDArray[np.uint8], batch_size: int, binarization: str, seed: int, first_epoch: int = 0
) -> tuple[tf.data.Dataset, int]:
    """Endless epochs of shuffled batches, and how many batches are an epoch; the last one may be smaller.

    Args:
        images: `(n, height, width, channels)`.
        batch_size: images a batch.
        binarization: "none", x / 255; "threshold", 1 where x / 255 >= 0.5; "dynamic", a Bernoulli draw with
            probability x / 255 (Salakhutdinov and Murray 2008), anew every epoch.
        seed: of the order and the draws.
        first_epoch: the epoch to begin with.
    """
    count = len(images)
    steps = math.ceil(count / batch_size)
    resident = tf.constant(images)

    def batches_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key(seed, Stream.ORDER, epoch))
        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.enumerate(epoch * steps)

    def read(step: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        scaled = _scaled(tf.gather(resident, indices))
        if binarization == "dynamic":
            return _bernoulli(scaled, uniform_like(scaled, key(seed, Stream.TRAIN_BINARIZATION, step)))
        return _fixed(scaled, binarization)

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(batches_of_epoch).map(read).prefetch(tf.data.AUTOTUNE), steps


def evaluation_batches(
    images: NDArray[np.uint8], batch_size: int, binarization: str, seed: int, stream: Stream
) -> tf.data.Dataset:
    """One pass in order. What "dynamic" draws for an image is fixed by the seed, the stream and the image's place."""

    def read(batch: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        scaled = _scaled(batch)
        if binarization == "dynamic":
            return _bernoulli(scaled, uniform_rows(scaled, keys(seed, stream, place[0], tf.size(place))))
        return _fixed(scaled, binarization)

    places = np.arange(len(images), dtype=np.int64)
    batches = tf.data.Dataset.from_tensor_slices((images, places)).batch(batch_size)
    return batches.map(read).cache().prefetch(tf.data.AUTOTUNE)


def _scaled(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 255.0


def _bernoulli(probability: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return tf.cast(uniform < probability, tf.float32)


def _fixed(scaled: tf.Tensor, binarization: str) -> tf.Tensor:
    return tf.cast(scaled >= 0.5, tf.float32) if binarization == "threshold" else scaled
