"""Threefry with a key for every row, against the published test vectors and TensorFlow's own generator."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from vae.random import Stream, row_keys
from vae.threefry import _blocks, normal_rows, uniform_rows


@pytest.mark.parametrize("shape", [(), (1,), (5,), (6,), (3, 5), (5, 7, 3), (50, 16), (7, 6), (8, 4, 2), (28, 28, 1)])
@pytest.mark.parametrize(
    ("rows", "one"),
    [(normal_rows, tf.random.stateless_normal), (uniform_rows, tf.random.stateless_uniform)],
    ids=["normal", "uniform"],
)
def test_each_row_has_the_bits_of_tensorflow_s_generator(
    rows: Callable[..., tf.Tensor], one: Callable[..., tf.Tensor], shape: tuple[int, ...]
) -> None:
    keys = row_keys(3, Stream.IMPORTANCE_SAMPLES, 2**31, 3).value  # keys whose words use the highest bit, too
    draw = tf.function(lambda key: one(shape, key, alg="threefry"), jit_compile=True)
    drawn = tf.function(rows, jit_compile=True)(tf.zeros([3, *shape]), keys).numpy()
    assert np.array_equal(drawn, [draw(key).numpy() for key in keys])


def test_a_block_is_that_of_the_published_vectors() -> None:
    """Random123's `kat_vectors`: threefry2x32 with 20 rounds, key and counter 0."""
    zero = tf.constant([0], tf.uint32)
    assert [int(word[0]) for word in _blocks(zero, zero, zero)] == [0x6B200159, 0x99BA4EFE]
