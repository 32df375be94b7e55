"""Runs that share a program compute what they compute alone."""

import gc
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.fitting import Arrays, fit_and_record, grey_images
from vae import VAE, sharing
from vae.kl import MonteCarlo
from vae.training import shared_model
from vae.training.programs import program


@pytest.mark.thorough
def test_a_run_with_another_s_programs_has_the_bits_of_one_alone(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """Seed, beta and initial weights differ, and a callback has changed the first run's learning rate."""
    data = Arrays(grey_images(50), grey_images(20))  # the last batch is smaller

    def new(seed: int, beta: float) -> VAE:
        model = make_vae(MonteCarlo(), seed=seed, beta=beta)
        for weight in model.trainable_variables:
            weight.assign(weight + 0.01 * seed)
        return model

    alone = new(7, 0.5)
    fit_and_record(alone, tmp_path / "alone", data, epochs=3)
    first = shared_model(new(1, 2.0), key="these options")
    fit_and_record(first, tmp_path / "first", data, epochs=2)
    first.optimizer.learning_rate.assign(0.1)
    second = shared_model(new(7, 0.5), key="these options")
    training = program(second, "training", lambda: None)
    traced = training.experimental_get_tracing_count()
    fit_and_record(second, tmp_path / "second", data, epochs=3)
    assert second is first
    assert training.experimental_get_tracing_count() == traced
    assert second.get_config()["seed"] == 7
    for shared, expected in zip(second.variables, alone.variables, strict=True):
        np.testing.assert_array_equal(shared, expected, err_msg=shared.path)
    columns = "elbo", "kl", "regularizer"
    histories = [
        np.genfromtxt(tmp_path / run / "history.csv", delimiter=",", names=True) for run in ("alone", "second")
    ]
    for column in columns:
        np.testing.assert_array_equal(*(history[f"validation{column}"] for history in histories))


def test_a_model_that_is_no_longer_shared_is_not_kept(
    make_vae: Callable[..., VAE], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs refer to it."""
    monkeypatch.setattr(sharing, "LIMIT", 2)
    monkeypatch.setattr(sharing, "_kept", OrderedDict())

    def with_a_program() -> VAE:
        model = shared_model(make_vae(), key="the first")
        step = program(model, "validation", lambda: tf.function(model.test_step, autograph=False))
        step.get_concrete_function((tf.zeros((2, 8, 8, 1)),))
        return model

    kept = weakref.ref(with_a_program())
    shared_model(make_vae(), key="the second")
    gc.collect()
    assert kept() is not None
    shared_model(make_vae(), key="the third")
    keras.backend.clear_session()
    gc.collect()
    assert kept() is None


def test_other_options_share_nothing(make_vae: Callable[..., VAE]) -> None:
    one, other = make_vae(), make_vae()
    assert shared_model(one, key="one") is one
    assert shared_model(other, key="other") is other
    assert shared_model(other, key=None) is other
    keras.backend.clear_session()
