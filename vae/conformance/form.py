"""Checks of the form: a float32 scalar, repeatable, in a graph, in half precision, and from a configuration."""

import json
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from vae.conformance.subject import CASES, FIRST_WEIGHTS, Estimate, Subject, sample
from vae.conformance.verdict import SAME, Verdict
from vae.latents import GaussianLatent

HALF = 0.05  # the relative difference of a value of bfloat16 samples, which have three digits


def is_scalar(subject: Subject) -> Verdict:
    """Check that the result is a tensor of shape () and dtype float32, which enters the loss as it is."""
    value, expected = subject.first(), "float32 ()"
    if not tf.is_tensor(value):
        advice = "it does not return a tensor: is it computed outside TensorFlow, which cannot differentiate it then?"
        return Verdict(False, type(value).__name__, expected, advice)
    measured = f"{value.dtype.name} {tuple(value.shape)}"
    advice = "it has another dtype: end with tf.cast(value, tf.float32)"
    if value.shape.rank != 0:
        advice = "it is not a scalar: sum over the latent variables, then average over the examples"
    return Verdict(measured == expected, measured, expected, advice)


def is_repeatable(subject: Subject) -> Verdict:
    """Check that the same key and the same z give the same bits."""
    first, second = float(subject.first()), float(subject.first())
    advice = "the same key and z gave another value: does it draw samples without its argument `key`?"
    return Verdict(np.array_equal(first, second, equal_nan=True), f"{second:.7g}", f"{first:.7g}", advice)


def runs_in_a_graph(subject: Subject) -> Verdict:
    """Check that the value is the same inside a tf.function, in which training calls it."""
    eager, traced = float(subject.first()), Estimate(float(tf.function(subject.first, autograph=False)()))
    advice = "inside a tf.function, as in training, it is another value: does it depend on state of Python or NumPy?"
    return Verdict(traced.near(eager, SAME), str(traced), f"{eager:.4g}", advice)


def takes_half(dtype: tf.DType) -> Callable[[Subject], Verdict]:
    """Return the check that an encoder in float16 or bfloat16 gives the same float32 value, up to rounding."""

    def check(subject: Subject) -> Verdict:
        parameters = np.concatenate([CASES[0].mu, CASES[0].log_var], axis=1)
        parameters[:, -2:] = 20.0  # log_var, which the latents keep below 10: sums of exp(10) overflow in float16
        precise, rounded = (GaussianLatent(5).posterior(tf.cast(parameters, each)) for each in (tf.float32, dtype))
        z, weight = sample(rounded), tf.constant(FIRST_WEIGHTS, tf.float32)
        exact = float(subject(precise, sample(precise), weight))
        values, refused = [subject(rounded, z, weight)], []
        for name, arguments in {"z": (tf.cast(z, dtype), weight), "weights": (z, tf.cast(weight, dtype))}.items():
            try:
                values.append(subject(rounded, *arguments))
            except (TypeError, ValueError, tf.errors.OpError):
                refused.append(name)
        difference = float(np.max([abs(float(value) - exact) for value in values])) / max(abs(exact), 1.0)
        passed = difference < HALF and all(value.dtype == tf.float32 for value in values)
        measured = f"{difference:.1%} off" + "".join(f", refuses {name}" for name in refused)
        advice = (
            f"with parameters, z or sample_weight in {dtype.name} it is not the right float32 value: does it compute "
            "in the dtype of z or sample_weight? Cast them to float32 first"
        )
        return Verdict(passed, measured, f"under {HALF:.0%} off", advice)

    return check


def survives_saving(subject: Subject) -> Verdict:
    """Check that a saved model rebuilds the regularizer from its configuration, by way of JSON."""
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(subject.regularizer)))
    rebuilt = keras.saving.deserialize_keras_object(serialized)
    before, after = float(subject.first()), float(Subject(rebuilt).first())
    same_config = rebuilt.get_config() == subject.regularizer.get_config()
    advice = "a saved model would rebuild another one: does every attribute hold its constructor argument unchanged?"
    return Verdict(same_config and before == after, f"{after:.7g}", f"{before:.7g}", advice)
