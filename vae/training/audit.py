"""The audit: the value and the gradient of each implementation for the same posteriors."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from vae.errors import UserError
from vae.kl import KLRegularizer
from vae.kl.base import canonical_mean
from vae.latents import active_units, kl_per_example
from vae.random import Stream, key
from vae.runs.quantities import AUDIT, QuantityName

CLIP = 1e-7  # Keras clips both arguments of its function to [CLIP, 1]


class Audit(keras.callbacks.Callback):
    """A comparison of regularizers with the exact KL after every epoch, on one validation batch.

    Adds `audit/<quantity>/<implementation>` to the epoch's logs, for each implementation:

    - `value`, in nats, as it would enter the loss; `gap`, the value minus the exact D[q || p];
    - `gradient_cosine` and `gradient_length_ratio`, of its gradient with respect to the posterior's parameters and the
      exact KL's;
    - `dead_gradient_share`, the share of zeros in its gradient among the entries whose exact gradient is not zero;
    - `clipped_share`, the share of the Keras function's arguments that the function clips.

    An implementation that cannot be computed for the model's latent variables is left out. For the model itself the
    audit adds, for each latent variable, `audit/kl_per_latent/<number>` in nats (against the family's own prior) and
    `audit/active/<number>`, 1 or 0, their sum `audit/active_units`, and `audit/gradient_ratio`: the length of the
    gradient of beta times the regularizer at the encoder's output, over that of the reconstruction.

    Args:
        regularizers: the regularizers by the name of the implementation; empty for no audit.
        images: the batch, `(batch, height, width, channels)`.
    """

    def __init__(self, regularizers: Mapping[str, KLRegularizer], images: tf.Tensor) -> None:
        super().__init__()
        self._regularizers = dict(regularizers)
        self._images = images
        self._measure = tf.function(self._compare, autograph=False)  # nothing to convert, which would take seconds

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the audit to the epoch's logs."""
        if logs is None or not self._regularizers:
            return
        quantities, kl_per_latent, mean = self._measure()
        logs |= {name: value.numpy().item() for name, value in quantities.items()}
        active = active_units(mean.numpy(), self.model.latent.size)
        for quantity, values in (("kl_per_latent", kl_per_latent.numpy()), ("active", active)):
            for number, value in enumerate(values):
                logs[QuantityName.of_latent(quantity, number, len(active)).log] = float(value)
        logs[_log_name("active_units")] = float(active.sum())

    def _compare(self) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Return the quantities by name, the KL of each latent variable, and the posterior's means."""
        model = self.model
        parameters = model.encoder(self._images, training=False)
        prior = model.prior_distribution()
        step = tf.convert_to_tensor(model.batches_seen)
        key_of_z, own_key = (
            key(model.seed, stream, step) for stream in (Stream.AUDIT_POSTERIOR, Stream.AUDIT_REGULARIZER)
        )

        def measured(function: Callable[..., tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            """Return the value of function(posterior, prior, z), and its gradient by the posterior's parameters."""
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                posterior = model.latent.posterior(parameters)
                value = function(posterior, prior, model.latent.training_sample(posterior, key_of_z, step))
            return value, tape.gradient(value, parameters, unconnected_gradients="zero")

        exact, exact_gradient = measured(lambda *arguments: canonical_mean(kl_per_example(*arguments)))
        quantities: dict[str, tf.Tensor] = {}
        for name, regularizer in self._regularizers.items():
            try:
                value, gradient = measured(functools.partial(regularizer, key=own_key))
            except UserError:
                continue  # it cannot be computed for this family or prior
            quantities |= {
                _log_name("value", name): value,
                _log_name("gap", name): value - exact,
                _log_name("gradient_cosine", name): _cosine(gradient, exact_gradient),
                _log_name("gradient_length_ratio", name): _length_ratio(gradient, exact_gradient),
                _log_name("dead_gradient_share", name): _dead_share(gradient, exact_gradient),
                _log_name("clipped_share", name): _clipped_share(
                    regularizer.function_arguments(model.latent.posterior(parameters), prior)
                ),
            }
        term = functools.partial(model.objective.term, model.kl, key=own_key, step=step)
        _, regularization = measured(lambda *arguments: model.current_beta() * term(*arguments))
        _, reconstruction = measured(
            lambda posterior, prior, z: (
                -tf.reduce_mean(model.likelihood.log_prob(self._images, model.decoder(z, training=False)))
            )
        )
        quantities[_log_name("gradient_ratio")] = _length_ratio(regularization, reconstruction)
        posterior = model.latent.posterior(parameters)
        kl_per_latent = tf.reduce_mean(posterior.kl_divergence(model.latent.prior()), axis=0)
        return quantities, kl_per_latent, posterior.mean


def _log_name(quantity: str, implementation: str = "") -> str:
    return QuantityName(AUDIT, quantity, implementation).log


def _cosine(gradient: tf.Tensor, exact: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(gradient * exact), tf.norm(gradient) * tf.norm(exact))


def _length_ratio(gradient: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.norm(gradient), tf.norm(other))


def _dead_share(gradient: tf.Tensor, exact: tf.Tensor) -> tf.Tensor:
    alive = exact != 0.0
    dead = tf.logical_and(alive, gradient == 0.0)
    return tf.math.divide_no_nan(*(tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in (dead, alive)))


def _clipped_share(arguments: list[tf.Tensor]) -> tf.Tensor:
    if not arguments:
        return tf.constant(0.0)
    clipped = [tf.cast(tf.logical_or(values < CLIP, values > 1.0), tf.float32) for values in arguments]
    return tf.reduce_mean(tf.concat([tf.reshape(values, [-1]) for values in clipped], axis=0))
