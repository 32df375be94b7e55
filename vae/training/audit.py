"""The audit: what each implementation says of the same posteriors, and what its gradient would do to them."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from vae.errors import UserError
from vae.kl import KLRegularizer
from vae.kl.base import canonical_mean
from vae.latents import active, kl_per_example
from vae.random import Stream, key, regularizer_key

TRAINED = "trained"
CLIP = 1e-7  # Keras's: both arguments of its function are kept within [CLIP, 1]


class Audit(keras.callbacks.Callback):
    """Measures regularizers against the exact KL after every epoch, on one validation batch.

    Adds to the epoch's logs, for each implementation, `audit/<quantity>/<implementation>`:

    - `value`, in nats, as it would enter the loss; `gap`, value minus the exact D[q || p];
    - `gradient_cosine` and `gradient_length_ratio`, of its gradient with respect to the posterior's parameters against
      the exact KL's;
    - `dead_gradient_share`, of the entries whose exact gradient is not zero: how many are zero in its own;
    - `clipped_share`, of the numbers that the Keras function gets: how many it clips.

    One whose formula does not go with the model's latent variables is left out. For the model itself it adds
    `audit/kl_per_latent/<number>` in nats and `audit/active/<number>`, 1 or 0, for each latent variable (against the
    family's own prior), their sum `audit/active_units`, and `audit/gradient_ratio`: how long the gradient of beta times
    the regularizer is at the encoder's output, against the reconstruction's.

    Args:
        regularizers: by the name of the implementation; empty for no audit at all.
        images: the batch, `(batch, height, width, channels)`.
    """

    def __init__(self, regularizers: Mapping[str, KLRegularizer], images: tf.Tensor) -> None:
        super().__init__()
        self._regularizers = dict(regularizers)
        self._images = images
        self._measure = tf.function(self._compare, autograph=False)  # there is nothing to convert, which takes seconds

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the audit to the epoch's logs."""
        if logs is None or not self._regularizers:
            return
        figures, kl_per_latent, mean = self._measure()
        logs |= {f"audit/{name}": value.numpy().item() for name, value in figures.items()}
        used = active(mean.numpy(), self.model.latent.size)
        digits = len(str(len(used) - 1))
        for number, (kl, is_active) in enumerate(zip(kl_per_latent.numpy(), used, strict=True)):
            logs[f"audit/kl_per_latent/{number:0{digits}}"] = float(kl)
            logs[f"audit/active/{number:0{digits}}"] = float(is_active)
        logs["audit/active_units"] = float(used.sum())

    def _compare(self) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        model = self.model
        parameters = model.encoder(self._images, training=False)
        prior = model.prior_distribution()
        draw = key(model.seed, Stream.EVALUATION_REGULARIZER, tf.convert_to_tensor(model.batches_seen))

        def measured(function: Any) -> tuple[tf.Tensor, tf.Tensor]:
            """The value of function(posterior, prior, z), and its gradient with respect to the parameters."""
            with tf.GradientTape() as tape, regularizer_key(draw):
                tape.watch(parameters)
                posterior = model.latent.posterior(parameters)
                value = function(posterior, prior, model.latent.training_sample(posterior, draw, model.batches_seen))
            return value, tape.gradient(value, parameters, unconnected_gradients="zero")

        exact, exact_gradient = measured(lambda *arguments: canonical_mean(kl_per_example(*arguments)))
        figures: dict[str, tf.Tensor] = {}
        for name, regularizer in self._regularizers.items():
            try:
                value, gradient = measured(regularizer)
            except UserError:
                continue  # it does not go with this family or prior
            figures |= {
                f"value/{name}": value,
                f"gap/{name}": value - exact,
                f"gradient_cosine/{name}": _cosine(gradient, exact_gradient),
                f"gradient_length_ratio/{name}": _ratio(gradient, exact_gradient),
                f"dead_gradient_share/{name}": _dead_share(gradient, exact_gradient),
                f"clipped_share/{name}": _clipped_share(
                    regularizer.function_arguments(model.latent.posterior(parameters), prior)
                ),
            }
        _, trained = measured(
            lambda posterior, prior, z: (
                model.current_beta() * model.objective.term(model.kl, posterior, prior, z, None, model.batches_seen)
            )
        )
        _, reconstruction = measured(
            lambda posterior, prior, z: (
                -tf.reduce_mean(model.likelihood.log_prob(self._images, model.decoder(z, training=False)))
            )
        )
        figures["gradient_ratio"] = _ratio(trained, reconstruction)
        posterior = model.latent.posterior(parameters)
        kl_per_latent = tf.reduce_mean(posterior.kl_divergence(model.latent.prior()), axis=0)
        return figures, kl_per_latent, posterior.mean


def _cosine(gradient: tf.Tensor, exact: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(gradient * exact), tf.norm(gradient) * tf.norm(exact))


def _ratio(gradient: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
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
