"""Noise is a function of seed, stream and counter, and of nothing else."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kstest
from tensorflow.types.experimental import ConcreteFunction

from tests.conftest import REPOSITORY
from vae.random import Key, Rows, Stream, fold_in, key, normal_like, row_keys, uniform_like

FIXED = [3831650445, 11]
ASK = """
import numpy as np, tensorflow as tf
from vae.random import Stream, key, normal_like
print(normal_like(tf.zeros([2, 3]), key(5, Stream.ORDER, 7)).numpy().tobytes().hex())
"""


@pytest.mark.thorough
def test_a_second_process_draws_the_same_bits() -> None:
    here = normal_like(tf.zeros([2, 3]), key(5, Stream.ORDER, 7)).numpy().tobytes().hex()
    answer = subprocess.run([sys.executable, "-c", ASK], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == here


def test_seed_stream_and_counter_each_change_the_draw() -> None:
    like = tf.zeros([1000])
    draws = [
        normal_like(like, key(seed, stream, counter)).numpy()
        for seed, stream, counter in [
            (0, Stream.TRAINING_POSTERIOR, 0),
            (1, Stream.TRAINING_POSTERIOR, 0),
            (0, Stream.EVALUATION_POSTERIOR, 0),
            (0, Stream.TRAINING_POSTERIOR, 1),
        ]
    ]
    correlation = np.corrcoef(draws) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(1000)  # five standard errors


def test_the_draws_have_their_distributions() -> None:
    like = tf.zeros([20_000])
    assert kstest(normal_like(like, key(0, Stream.ORDER, 0)).numpy(), "norm").pvalue > 1e-3
    assert kstest(uniform_like(like, key(0, Stream.ORDER, 1)).numpy(), "uniform").pvalue > 1e-3


def test_draws_of_a_shape_that_no_other_has_are_not_kept() -> None:
    """A sweep may go through hundreds of shapes in one process; draws of a shape whose program is gone are the same."""

    def draw(size: int) -> bytes:
        return normal_like(tf.zeros([size]), key(0, Stream.ORDER, 0)).numpy().tobytes()

    def programs() -> int:
        gc.collect()
        return sum(isinstance(found, ConcreteFunction) for found in gc.get_objects())

    first, before = draw(1), programs()
    for size in range(2, 20):
        draw(size)
    assert programs() - before <= 16
    assert draw(1) == first


def test_the_stream_numbers_are_fixed() -> None:
    """A new stream takes a new number: the bits of the others stay."""
    assert {stream.name: stream.value for stream in Stream} == {
        "TRAINING_POSTERIOR": 0,
        "EVALUATION_POSTERIOR": 1,
        "ORDER": 2,
        "TRAIN_BINARIZATION": 3,
        "VALIDATION_BINARIZATION": 4,
        "TEST_BINARIZATION": 5,
        "IMPORTANCE_SAMPLES": 6,
        "PRIOR_SAMPLES": 7,
        "TRAINING_REGULARIZER": 8,
        "EVALUATION_REGULARIZER": 9,
        "AUDIT_POSTERIOR": 10,
        "AUDIT_REGULARIZER": 11,
        "PROBE": 12,
        "AUDIT_REFERENCE": 13,
        "POSTERIOR_OPTIMIZATION": 14,
        "POSTERIOR_SELECTION": 15,
    }
    assert key(7, Stream.ORDER, 11).value.numpy().tolist() == FIXED


def test_no_two_seeds_and_streams_share_their_noise() -> None:
    """Threefry reads the low 32 bits only, into which the seed's 31 bits and the stream are mixed."""
    seeds = [*range(100), 2**24, 2**28, 429_496_730, 2**30, 2**31 - 1]
    words = {int(key(seed, stream, 0).value[0]) for seed in seeds for stream in Stream}
    assert len(words) == len(seeds) * len(Stream)
    assert 0 <= min(words) <= max(words) < 2**32


def test_a_row_depends_on_its_own_key_only() -> None:
    for draw in (normal_like, uniform_like):
        whole = draw(tf.zeros([10, 3]), row_keys(2, Stream.ORDER, 0, 10)).numpy()
        part = draw(tf.zeros([4, 3]), row_keys(2, Stream.ORDER, 5, 4)).numpy()
        assert np.array_equal(whole[5:9], part)
        assert len(np.unique(whole)) == 30


def test_a_part_of_a_batch_has_its_rows_of_the_whole_draw() -> None:
    whole = tf.zeros([7, 3, 2])
    for like in (normal_like, uniform_like):
        for number in (None, 4):
            draw = key(3, Stream.TRAINING_POSTERIOR, 5)
            expected = like(whole, draw if number is None else fold_in(draw, number))
            for first, end in ((0, 3), (3, 7)):
                part = key(3, Stream.TRAINING_POSTERIOR, 5, Rows(first, 7))
                part = part if number is None else fold_in(part, number)
                assert np.array_equal(like(whole[first:end], part), expected[first:end])


def test_folded_keys_are_independent() -> None:
    draw, rows = key(0, Stream.ORDER, 3), row_keys(0, Stream.ORDER, 0, 1000)
    like = tf.zeros([1000])
    draws = [normal_like(like, each).numpy() for each in (draw, *(fold_in(draw, n) for n in range(3)), rows)]
    draws += [normal_like(like, fold_in(rows, n)).numpy() for n in range(2)]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 5 / np.sqrt(1000)  # five standard errors


def test_a_folded_key_is_tensorflow_s_everywhere() -> None:
    """The same bits eager, in a graph and under XLA, for a single key and for each row."""
    single, rows = key(5, Stream.ORDER, 7), row_keys(5, Stream.ORDER, 6, 3)

    @tf.function(jit_compile=True)
    def reference(value: tf.Tensor) -> tf.Tensor:
        return tf.random.experimental.stateless_fold_in(value, tf.constant(9, tf.int64), alg="threefry")

    expected = reference(single.value).numpy()
    for jit_compile in (None, False, True):
        fold = fold_in if jit_compile is None else None
        if fold is None:
            traced = tf.function(lambda value, data: fold_in(Key(value), data).value, jit_compile=jit_compile)
            values = [traced(each.value, tf.constant(9)).numpy() for each in (single, rows)]
        else:
            values = [fold(each, 9).value.numpy() for each in (single, rows)]
        assert np.array_equal(values[0], expected)
        assert np.array_equal(values[1][1], expected)  # of the same counter
        assert values[1].shape == (3, 2)
        assert len({tuple(row) for row in values[1]}) == 3
