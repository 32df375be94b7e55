"""Random numbers that are a pure function of a seed, a stream and a counter.

Nothing here holds state: the same arguments give the same bits, in whichever process, order or graph they are asked
for. The generator is Threefry (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), which TensorFlow
has on the CPU only under XLA; there it is eight times as fast as the default, Philox.
"""

import enum
from typing import Any

import tensorflow as tf


class Stream(enum.IntEnum):
    """What a random number is for. Two streams of one seed are independent."""

    TRAINING_POSTERIOR = 0
    EVALUATION_POSTERIOR = 1
    ORDER = 2
    TRAIN_BINARIZATION = 3
    VALIDATION_BINARIZATION = 4
    TEST_BINARIZATION = 5
    IMPORTANCE_SAMPLES = 6
    PRIOR_SAMPLES = 7


def key(seed: int, stream: Stream, counter: Any) -> tf.Tensor:
    """The generator's key for draw number `counter` (an integer or a scalar tensor) of a stream: shape (2,), int64."""
    return tf.stack([tf.constant(seed * len(Stream) + stream, tf.int64), tf.cast(counter, tf.int64)])


def keys(seed: int, stream: Stream, first: Any, count: Any) -> tf.Tensor:
    """The keys of `count` draws from number `first` on: shape (count, 2), int64."""
    counters = tf.cast(first, tf.int64) + tf.range(tf.cast(count, tf.int64))
    return tf.stack([tf.fill(tf.shape(counters), tf.constant(seed * len(Stream) + stream, tf.int64)), counters], axis=1)


def normal_like(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Independent standard normal float32 numbers in the shape of `tensor`."""
    return tf.ensure_shape(_normal(tensor, key), tensor.shape)


def uniform_like(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Independent float32 numbers, uniform on [0, 1), in the shape of `tensor`."""
    return tf.ensure_shape(_uniform(tensor, key), tensor.shape)


def normal_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """`normal_like`, but each row `tensor[i]` has the draw of its own `keys[i]`, whatever rows stand around it."""
    return tf.ensure_shape(_normal_rows(tensor, keys), tensor.shape)


def uniform_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """`uniform_like`, row by row as in `normal_rows`."""
    return tf.ensure_shape(_uniform_rows(tensor, keys), tensor.shape)


@tf.function(jit_compile=True)
def _normal(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(tf.shape(tensor), key, alg="threefry")


@tf.function(jit_compile=True)
def _uniform(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(tf.shape(tensor), key, alg="threefry")


@tf.function(jit_compile=True)
def _normal_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda key: _normal(tensor[0], key), keys, fn_output_signature=tf.float32)


@tf.function(jit_compile=True)
def _uniform_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda key: _uniform(tensor[0], key), keys, fn_output_signature=tf.float32)
