"""The audit: what each implementation says of the same posteriors, and what its gradient would do to them."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from vae.kl import Analytic, KLRegularizer

QUANTITIES = ("value", "gap", "gradient_cosine", "gradient_length_ratio")


class Audit(keras.callbacks.Callback):
    """Measures regularizers against the exact KL after every epoch, on one validation batch.

    Adds to the epoch's logs, for each implementation, `audit/<quantity>/<implementation>`: its `value` in nats, as it
    would enter the loss; the `gap`, value minus the exact D[q || p]; the `gradient_cosine` and the
    `gradient_length_ratio` of its gradient with respect to the posterior's parameters against the exact KL's.

    Args:
        regularizers: by the name of the implementation.
        images: the batch, `(batch, height, width, channels)`.
    """

    def __init__(self, regularizers: Mapping[str, KLRegularizer], images: tf.Tensor) -> None:
        super().__init__()
        self._regularizers = dict(regularizers)
        self._images = images
        self._measure = tf.function(self._compare)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the audit to the epoch's logs."""
        if logs is not None and self._regularizers:
            parameters = self.model.encoder(self._images, training=False)
            logs |= {name: float(value) for name, value in self._measure(parameters).items()}

    def _compare(self, parameters: tf.Tensor) -> dict[str, tf.Tensor]:
        exact, exact_gradient = self._value_and_gradient(Analytic(), parameters)
        figures = {}
        for name, regularizer in self._regularizers.items():
            value, gradient = self._value_and_gradient(regularizer, parameters)
            lengths = tf.norm(gradient), tf.norm(exact_gradient)
            cosine = tf.math.divide_no_nan(tf.reduce_sum(gradient * exact_gradient), lengths[0] * lengths[1])
            ratio = tf.math.divide_no_nan(lengths[0], lengths[1])
            for quantity, figure in zip(QUANTITIES, (value, value - exact, cosine, ratio), strict=True):
                figures[f"audit/{quantity}/{name}"] = figure
        return figures

    def _value_and_gradient(self, regularizer: KLRegularizer, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        latent = self.model.latent
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            posterior = latent.posterior(parameters)
            value = regularizer(posterior, latent.prior(), posterior.mean)
        return value, tape.gradient(value, parameters, unconnected_gradients="zero")
