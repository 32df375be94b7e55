"""Random numbers that are a pure function of a seed, a stream and a counter.

Nothing here holds state: the same arguments give the same bits, in whichever process, order or graph they are asked
for. The generator is Threefry (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), which TensorFlow
has on the CPU only under XLA; there it is eight times as fast as the default, Philox.
"""

import contextlib
import enum
from collections.abc import Iterator
from contextvars import ContextVar
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
    TRAINING_REGULARIZER = 8
    EVALUATION_REGULARIZER = 9


def key(seed: int, stream: Stream, counter: Any) -> tf.Tensor:
    """The generator's key for draw number `counter` (an integer or a scalar tensor) of a stream: shape (2,), int64."""
    return tf.stack([tf.constant(seed * len(Stream) + stream, tf.int64), tf.cast(counter, tf.int64)])


def keys(seed: int, stream: Stream, first: Any, count: Any) -> tf.Tensor:
    """The keys of `count` draws from number `first` on: shape (count, 2), int64."""
    counters = tf.cast(first, tf.int64) + tf.range(tf.cast(count, tf.int64))
    return tf.stack([tf.fill(tf.shape(counters), tf.constant(seed * len(Stream) + stream, tf.int64)), counters], axis=1)


@contextlib.contextmanager
def rows_of(whole: int, first: int) -> Iterator[None]:
    """Inside, a batch is the rows of a larger one, from row `first` on, and has their draws of the larger one's noise.

    So what several devices draw for their parts of a batch is what one device draws for the whole. It concerns
    `normal_like` and `uniform_like`.

    Args:
        whole: how many rows the larger batch has.
        first: which of them is the smaller one's first.
    """
    token = _ROWS_OF.set((whole, first))
    try:
        yield
    finally:
        _ROWS_OF.reset(token)


_ROWS_OF: ContextVar[tuple[int, int] | None] = ContextVar("rows_of", default=None)


def normal_like(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Independent standard normal float32 numbers in the shape of `tensor`.

    Args:
        tensor: whose shape counts.
        key: one key, `(2,)`; or one for each row of the tensor, `(rows, 2)`: a row's draw is then a function of its own
            key, whatever rows stand around it.
    """
    return _like(_normal, _normal_rows, tensor, key)


def uniform_like(tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Independent float32 numbers, uniform on [0, 1), in the shape of `tensor`; `key` as in `normal_like`."""
    return _like(_uniform, _uniform_rows, tensor, key)


@contextlib.contextmanager
def regularizer_key(key: tf.Tensor) -> Iterator[None]:
    """Inside, a regularizer that draws samples of its own draws them by this key."""
    token = _REGULARIZER_KEY.set(key)
    try:
        yield
    finally:
        _REGULARIZER_KEY.reset(token)


def own_key() -> tf.Tensor:
    """The key by which a regularizer draws: a function of seed and step inside a model, the same one outside."""
    given = _REGULARIZER_KEY.get()
    return key(0, Stream.TRAINING_REGULARIZER, 0) if given is None else given


_REGULARIZER_KEY: ContextVar[Any] = ContextVar("regularizer_key", default=None)


def _like(draw: Any, draw_rows: Any, tensor: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    part = _ROWS_OF.get()
    if key.shape.rank == 2:
        drawn = draw_rows(tensor, key)
    elif part is None:
        drawn = draw(tensor, key)
    else:
        whole, first = part
        drawn = draw(tf.zeros([whole, *tensor.shape[1:]]), key)[first : first + tensor.shape[0]]
    return tf.ensure_shape(drawn, tensor.shape)


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
