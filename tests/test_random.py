"""Noise is a function of seed, stream and counter, and of nothing else."""

import subprocess
import sys

import numpy as np
import tensorflow as tf
from scipy.stats import kstest

from tests.conftest import REPOSITORY
from vae.random import Stream, key, keys, normal_like, rows_of, uniform_like

ASK = """
import numpy as np, tensorflow as tf
from vae.random import Stream, key, normal_like
print(normal_like(tf.zeros([2, 3]), key(5, Stream.ORDER, 7)).numpy().tobytes().hex())
"""


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


def test_the_distributions_are_what_they_say() -> None:
    like = tf.zeros([20_000])
    assert kstest(normal_like(like, key(0, Stream.ORDER, 0)).numpy(), "norm").pvalue > 1e-3
    assert kstest(uniform_like(like, key(0, Stream.ORDER, 1)).numpy(), "uniform").pvalue > 1e-3


def test_a_row_depends_on_its_own_key_only() -> None:
    for draw in (normal_like, uniform_like):
        whole = draw(tf.zeros([10, 3]), keys(2, Stream.ORDER, 0, 10)).numpy()
        part = draw(tf.zeros([4, 3]), keys(2, Stream.ORDER, 5, 4)).numpy()
        assert np.array_equal(whole[5:9], part)
        assert len(np.unique(whole)) == 30


def test_a_part_of_a_batch_has_its_rows_of_the_whole_draw() -> None:
    whole, draw = tf.zeros([7, 3, 2]), key(3, Stream.TRAINING_POSTERIOR, 5)
    for like in (normal_like, uniform_like):
        expected = like(whole, draw)
        for first, end in ((0, 3), (3, 7)):
            with rows_of(7, first):
                assert np.array_equal(like(whole[first:end], draw), expected[first:end])
        assert np.array_equal(like(whole, draw), expected)
