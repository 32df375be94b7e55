"""Schedules against the formulas of their papers, in float64."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from vae import VAE
from vae.errors import UserError
from vae.schedules import Cosine, Cyclical, Exponential, Linear, Schedule

STEPS = np.arange(0, 60)
Images = NDArray[np.float32]
MakeVAE = Callable[..., VAE]


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
    """Four cycles' worth of Fu et al. 2019: tau = mod(t, T/M) / (T/M); tau / R up to R, then 1."""
    tau = np.mod(STEPS, 15) / 15
    assert values(Cyclical(15, rising=0.4)) == pytest.approx(np.minimum(tau / 0.4, 1.0), abs=1e-6)


@pytest.mark.parametrize("schedule", [Linear(7, 0.5), Cosine(3), Cyclical(5, rising=1.0), Exponential(9, 2.0, 0.5)])
def test_comes_back_from_its_configuration(schedule: Schedule) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert type(again) is type(schedule)
    assert values(again) == values(schedule)


def test_epochs_are_so_many_steps() -> None:
    for schedule in (Linear, Cosine, Cyclical, partial(Exponential, start=0.5)):
        in_steps = schedule(length=30)
        assert values(schedule(length=2.5, unit="epochs", steps_per_epoch=12)) == values(in_steps)
    with pytest.raises(UserError, match=r"unit=epochs: .*steps_per_epoch"):
        Linear(2, unit="epochs")


@pytest.mark.parametrize(
    ("schedule", "options", "message"),
    [
        (Linear, {"length": 0}, "length=0: .*greater than 0"),
        (Linear, {"length": 1, "unit": "days"}, "unit=days: .*'epochs' or 'steps'"),
        (Cyclical, {"length": 10, "rising": 1.5}, "rising=1.5: .*1"),
        (Exponential, {"length": 10, "start": 0.0}, "start=0.0: .*greater than 0"),
    ],
)
def test_refuses_bad_values(schedule: type[Schedule], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        schedule(**options)


@pytest.mark.thorough
def test_ours_is_a_learning_rate_s_too(make_vae: MakeVAE, images: Images, tmp_path: Path) -> None:
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(Linear(10, 1e-2, 1e-3)))
    vae.fit(images, batch_size=10, epochs=1, verbose=0)
    assert float(vae.optimizer.learning_rate) == pytest.approx(1e-2 - 0.5 * 9e-3)
    vae.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(float(vae.optimizer.learning_rate))


def test_any_keras_schedule_is_beta_s_too(make_vae: MakeVAE, images: Images, tmp_path: Path) -> None:
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2, 4], [0.0, 0.5, 1.0])
    vae = make_vae(beta=2.0, schedule=schedule)
    betas = []
    for _ in range(6):
        betas.append(float(vae.current_beta()))
        vae.train_on_batch(images)
    assert betas == [0.0, 0.0, 0.0, 1.0, 1.0, 2.0]
    vae.save(tmp_path / "model.keras")
    assert float(keras.models.load_model(tmp_path / "model.keras").current_beta()) == 2.0


def test_a_schedule_of_the_user_is_registered() -> None:
    class Steps(Schedule):
        def __call__(self, step: Any) -> tf.Tensor:
            return tf.floor(tf.cast(step, tf.float32) / self.steps)

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Steps(20)))
    assert values(again) == [float(step // 20) for step in STEPS]
