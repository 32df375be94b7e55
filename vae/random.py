"""Random numbers that are a pure function of a seed, a stream and a counter.

Nothing here holds state: the same key gives the same bits in every process, order and graph. The generator is Threefry
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). On the CPU TensorFlow has it only under XLA, where
it is eight times as fast as the default, Philox.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.threefry import normal_rows, uniform_rows

_SHAPES = 16  # for which programs of a draw are kept: about four a run


class Stream(enum.IntEnum):
    """The purpose of a random number. Two streams of one seed are independent.

    The numbers are fixed: a new stream takes a new one, and the draws of all others stay the same.
    """

    TRAINING_POSTERIOR = 0
    EVALUATION_POSTERIOR = 1
    ORDER = 2
    TRAIN_BINARIZATION = 3
    VALIDATION_BINARIZATION = 4
    TEST_BINARIZATION = 5
    IMPORTANCE_SAMPLES = 6
    PRIOR_SAMPLES = 7
    TRAINING_REGULARIZER = 8
    EVALUATION_REGULARIZER = 9
    AUDIT_POSTERIOR = 10
    AUDIT_REGULARIZER = 11
    PROBE = 12
    AUDIT_REFERENCE = 13
    POSTERIOR_OPTIMIZATION = 14
    POSTERIOR_SELECTION = 15


@dataclass(frozen=True)
class Rows:
    """The place of a batch in a larger batch, of which it is a part.

    Args:
        first: the row of the larger batch that is the first one here.
        whole: the number of rows of the larger batch.
    """

    first: int
    whole: int


@dataclass(frozen=True, eq=False)
class Key:
    """A key of the generator: the argument that determines a draw.

    Args:
        value: one key, `(2,)`, for a whole tensor; or a key for each row of it, `(rows, 2)`, so that a row's draw
            does not depend on the other rows. int64, of which Threefry reads the low 32 bits.
        rows: the rows of a larger batch that are drawn, or None for all. Several devices that draw their parts of a
            batch so get the numbers that one device draws for the whole batch.
    """

    value: tf.Tensor
    rows: Rows | None = None


def seed_words(seed: int) -> NDArray[np.int64]:
    """Return what the generator takes of a seed: a word for each stream, `(streams,)`.

    A program that gets them as an input, in the place of the seed, is the same for all seeds.
    """
    return np.array([_first_word(seed, stream) for stream in Stream])


def key(seed: Any, stream: Stream, counter: Any, rows: Rows | None = None) -> Key:
    """Return the key of draw number `counter` of a stream.

    Args:
        seed: the seed, 0 or more, or its `seed_words` as a tensor.
        stream: the purpose of the draw.
        counter: an integer or a scalar integer tensor.
        rows: the place of the batch in a larger one, or None.
    """
    return Key(tf.stack([_word(seed, stream), tf.cast(counter, tf.int64)]), rows)


def row_keys(seed: Any, stream: Stream, first: Any, count: Any) -> Key:
    """Return a key for each of `count` rows, those of the draws `first`, `first + 1`, ... of a stream."""
    counters = tf.cast(first, tf.int64) + tf.range(tf.cast(count, tf.int64))
    return Key(tf.stack([tf.fill(tf.shape(counters), _word(seed, stream)), counters], axis=1))


def fold_in(key: Key, data: Any) -> Key:
    """Return a new key, a function of a key and a number; keys of different numbers are independent.

    Each row key is folded by itself. The semantics are those of `tf.random.experimental.stateless_fold_in`.

    Args:
        key: a key, or a key for each row.
        data: an integer or a scalar integer tensor.
    """
    fold = _fold_rows if key.value.shape.rank == 2 else _fold
    return Key(fold(key.value, tf.cast(data, tf.int64)), key.rows)


def normal_like(tensor: tf.Tensor, key: Key) -> tf.Tensor:
    """Return independent standard normal float32 numbers in the shape of a tensor.

    Args:
        tensor: the tensor, of which only the shape counts.
        key: the key of the draw; row keys are one for each row of the tensor.
    """
    return _like(_normal, _normal_rows, tensor, key)


def uniform_like(tensor: tf.Tensor, key: Key) -> tf.Tensor:
    """Return independent float32 numbers, uniform on [0, 1), in the shape of a tensor.

    Args:
        tensor: the tensor, of which only the shape counts.
        key: the key of the draw; row keys are one for each row of the tensor.
    """
    return _like(_uniform, _uniform_rows, tensor, key)


def _word(seed: Any, stream: Stream) -> tf.Tensor:
    return tf.constant(_first_word(seed, stream), tf.int64) if isinstance(seed, int) else seed[int(stream)]


def _first_word(seed: int, stream: Stream) -> int:
    # A seed has 31 bits and Threefry's word 32, so that seed and stream have to be mixed into one
    return int(np.random.SeedSequence(seed, spawn_key=(int(stream),)).generate_state(1)[0])


def _like(draw: Callable[..., Any], draw_rows: Callable[..., Any], tensor: tf.Tensor, key: Key) -> tf.Tensor:
    if key.value.shape.rank == 2:
        drawn = draw_rows(tensor, key.value)
    elif key.rows is None:
        drawn = draw(tensor, key.value)
    else:
        first, whole = key.rows.first, tf.zeros([key.rows.whole, *tensor.shape[1:]])
        drawn = draw(whole, key.value)[first : first + tensor.shape[0]]
    return tf.ensure_shape(drawn, tensor.shape)


def _compiled(draw: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Return a function of tensors as an XLA program for their shapes; those of the last shapes are kept.

    A `tf.function` alone keeps a program for every shape that the process has seen, and a sweep may see hundreds.
    """

    @lru_cache(_SHAPES)
    def program(*_: tf.TensorShape) -> Callable[..., tf.Tensor]:
        return tf.function(draw, autograph=False, jit_compile=True)

    return lambda *tensors: program(*(tensor.shape for tensor in tensors))(*tensors)


@_compiled
def _normal(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(tf.shape(tensor), key, alg="threefry")


@_compiled
def _uniform(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform(tf.shape(tensor), key, alg="threefry")


@_compiled
def _fold(key: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(key, data, alg="threefry")


@_compiled
def _normal_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    return normal_rows(tensor, keys)


@_compiled
def _uniform_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    return uniform_rows(tensor, keys)


@_compiled
def _fold_rows(keys: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda key: _fold(key, data), keys, fn_output_signature=tf.int64)
