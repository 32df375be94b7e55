"""The float32 rate that the machine reaches in one large matrix product of TensorFlow."""

import time

import tensorflow as tf

from contenders import MATRIX_SIZE, HandIn, Round, Task

REPETITIONS = 5


def multiply(task: Task, hand_in: HandIn) -> None:
    """Multiply two matrices, whatever the task."""
    left, right = tf.random.normal([MATRIX_SIZE, MATRIX_SIZE]), tf.random.normal([MATRIX_SIZE, MATRIX_SIZE])
    while True:
        began = time.perf_counter()
        for _ in range(REPETITIONS):
            tf.matmul(left, right).numpy()
        hand_in(Round(1000 * (time.perf_counter() - began) / REPETITIONS))
