"""Checks of the batch: a mean over examples, whatever their order and number, and whatever Keras masks say."""

import keras
import numpy as np
import tensorflow as tf

from vae.conformance.subject import CASES, FIRST_WEIGHTS, Estimate, SkippedError, Subject, gaussian, sample
from vae.conformance.verdict import SAME, Verdict, same
from vae.latents import Gaussian

EVERY_ROW = range(6)  # of the first case


def ignores_order(subject: Subject) -> Verdict:
    """Check that the order of the examples, with their z and weights, changes nothing."""
    order = np.array([3, 0, 5, 1, 4, 2])
    advice = "another order of the examples changes it: are rows of the posterior, z and sample_weight mixed up?"
    return same(subject.rows(order, FIRST_WEIGHTS[order]), subject.rows(EVERY_ROW, FIRST_WEIGHTS), advice)


def ignores_size(subject: Subject) -> Verdict:
    """Check that a batch repeated twice has the same mean over examples."""
    once, twice = subject.rows(EVERY_ROW), subject.rows([*EVERY_ROW, *EVERY_ROW])
    advice = "a batch repeated twice changes it: is it a mean over examples?"
    if twice.near(2.0 * once.value, SAME, 2.0 * once.error):
        advice = "a batch repeated twice doubles it: does it sum over the batch instead of averaging?"
    return same(twice, once, advice)


def ignores_a_mask(subject: Subject) -> Verdict:
    """Check that a mask on the parameters and on z changes nothing: examples are left out by sample_weight alone.

    Keras's layers attach masks to their outputs, and its loss classes apply that of y_pred without a word.
    """
    unmasked = float(subject.first())
    if unmasked != float(subject.first()):
        raise SkippedError("it is not repeatable")
    mask = tf.constant([True, False, True, True, False, True])
    attach = keras.layers.Lambda(tf.identity, mask=mask)
    posterior = gaussian(CASES[0])
    masked = Gaussian(attach(posterior.mu), attach(posterior.log_var))
    value = Estimate(float(subject(masked, attach(sample(posterior)))))
    advice = (
        "a Keras mask on mu, log_var or z changes it: does it pass one of them to a Keras loss class as y_pred, whose "
        "mask the class applies? Call the function of the same name, or pass tf.identity of the tensor"
    )
    return same(value, Estimate(unmasked), advice)
