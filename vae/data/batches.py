"""Batches of float32 images in [0, 1], whose binarization is a function of seed, stream and place or step."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.data.stored import StoredImages
from vae.random import Stream, key, row_keys, uniform_like

Images = NDArray[np.uint8] | StoredImages


def training_images(images: tf.Tensor, binarization: str, seed: int, step: Any) -> tf.Tensor:
    """The batch of a training step, float32 in [0, 1].

    Args:
        images: the batch, uint8, `(batch, height, width, channels)`.
        binarization: "none", x / 255; "threshold", 1 where x / 255 >= 0.5; "dynamic", a Bernoulli draw with
            probability x / 255 (Salakhutdinov and Murray 2008), a function of seed and step.
        seed: of the draw.
        step: the number of the step since training began.
    """
    scaled = scaled_images(images)
    if binarization == "dynamic":
        return _bernoulli(scaled, uniform_like(scaled, key(seed, Stream.TRAIN_BINARIZATION, step)))
    return _fixed(scaled, binarization)


def evaluation_images(images: tf.Tensor, first: Any, binarization: str, seed: int, stream: Stream) -> tf.Tensor:
    """A batch of an evaluation, float32 in [0, 1]: an image's draw is a function of seed, stream and its place.

    Args:
        images: consecutive ones, uint8, `(batch, height, width, channels)`.
        first: the place of the first in its split.
        binarization: as in `training_images`.
        seed: of the draw.
        stream: of the draw.
    """
    scaled = scaled_images(images)
    if binarization == "dynamic":
        return _bernoulli(scaled, uniform_like(scaled, row_keys(seed, stream, first, tf.shape(images)[0])))
    return _fixed(scaled, binarization)


def evaluation_batches(
    images: Images, batch_size: int, binarization: str, seed: int, stream: Stream
) -> tf.data.Dataset:
    """One pass over a split in order; the last batch may be smaller. Arguments as in `evaluation_images`."""
    read = reader(images)

    def batch(first: tf.Tensor) -> tf.Tensor:
        places = tf.range(first, tf.minimum(first + batch_size, len(images)))
        return evaluation_images(read(places), first, binarization, seed, stream)

    return tf.data.Dataset.range(0, len(images), batch_size).map(batch).prefetch(1)


def reader(images: Images) -> Any:
    """A function from indices `(n,)` to the images there, uint8, for use in a graph."""
    if isinstance(images, StoredImages):
        shape = images.shape

        def read(indices: tf.Tensor) -> tf.Tensor:
            rows = tf.numpy_function(images.read, [indices], tf.uint8)
            return tf.ensure_shape(rows, [indices.shape[0], *shape[1:]])

        return read
    resident = tf.constant(images)
    return lambda indices: tf.gather(resident, indices)


def scaled_images(images: tf.Tensor) -> tf.Tensor:
    """Grey levels 0 to 255 as float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def _bernoulli(probability: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return tf.cast(uniform < probability, tf.float32)


def _fixed(scaled: tf.Tensor, binarization: str) -> tf.Tensor:
    return tf.cast(scaled >= 0.5, tf.float32) if binarization == "threshold" else scaled
