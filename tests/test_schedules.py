"""Schedules against the formulas of their papers, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae.schedules import Cosine, Cyclical, Exponential, Linear, Schedule

STEPS = np.arange(0, 60)


def values(schedule: Schedule) -> list[float]:
    compiled = tf.function(schedule, jit_compile=True)
    return [float(compiled(tf.constant(step, tf.int64))) for step in STEPS]


def test_linear() -> None:
    assert values(Linear(40, start=0.25)) == pytest.approx(np.minimum(0.25 + 0.75 * STEPS / 40, 1.0), abs=1e-6)


def test_cosine() -> None:
    share = np.minimum(STEPS / 40, 1.0)
    assert values(Cosine(40, end=3.0)) == pytest.approx(1.5 * (1 - np.cos(np.pi * share)), abs=1e-5)


def test_exponential() -> None:
    share = np.minimum(STEPS / 40, 1.0)
    assert values(Exponential(40, 1.0, 0.1)) == pytest.approx(np.exp(share * np.log(0.1)), abs=1e-6)


def test_cyclical() -> None:
    """Four cycles' worth of Fu et al. 2019, equation 6: tau = mod(t, T/M) / (T/M); tau / R up to R, then 1."""
    tau = np.mod(STEPS, 15) / 15
    assert values(Cyclical(15, rising=0.4)) == pytest.approx(np.minimum(tau / 0.4, 1.0), abs=1e-6)


@pytest.mark.parametrize("schedule", [Linear(7, 0.5), Cosine(3), Cyclical(5, rising=1.0), Exponential(9, 2.0, 0.5)])
def test_comes_back_from_its_configuration(schedule: Schedule) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(again) is type(schedule)
    assert values(again) == values(schedule)


def test_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"length=0: must be 1 step or more"):
        Linear(0)
    with pytest.raises(ValueError, match=r"rising=1.5: must be above 0 and at most 1"):
        Cyclical(10, rising=1.5)
