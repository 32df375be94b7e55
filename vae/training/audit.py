"""The audit: the value and the gradient of each implementation for the same posteriors."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from vae.errors import UserError
from vae.kl import KLRegularizer
from vae.kl.weight import Gradients, LocalWeight, gradients, local_weight, reference_gradients
from vae.latents import active_units
from vae.random import Key, Stream, key
from vae.runs.quantities import AUDIT, QuantityName
from vae.training.programs import program

CLIP = 1e-7  # Keras clips both arguments of its function to [CLIP, 1]
TERM_DRAWS = 16  # of a trained term that draws samples


class Audit(keras.callbacks.Callback):
    """A comparison of regularizers with the KL after an epoch, on one validation batch and its posteriors.

    The KL is exact. Under a learned prior, which has no closed form, it is an estimate from 64 draws for each image,
    independent of all others: its value is then logged as `audit/reference`, with its standard error.

    Adds `audit/<quantity>/<implementation>` to the epoch's logs, for each implementation and one draw of z:

    - `value`, in nats, as it would enter the loss; `gap`, the value minus the KL D[q || p];
    - `gradient_cosine` and `gradient_length_ratio`, of its gradient with respect to the posterior's parameters and the
      KL's;
    - `dead_gradient_share`, the share of zeros in its gradient among the entries whose exact gradient is not zero;
    - `clipped_share`, the share of the Keras function's arguments that the function clips.

    An implementation that cannot be computed for the model's latent variables is left out. For the term that training
    adds, with beta and the objective, it adds `audit/local_weight` and `audit/residual_share` (`vae.kl.weight`), of its
    expected gradient; if it draws samples, also their standard errors, `..._error`. If the two contradict the effective
    beta in the logs, that becomes NaN. After an epoch that is not audited, the logs have no effective beta.

    For the model itself the audit adds, for each latent variable, `audit/kl_per_latent/<number>` in nats (against the
    family's own prior) and `audit/active/<number>`, 1 or 0, their sum `audit/active_units`, and `audit/gradient_ratio`:
    the length of the trained term's gradient for one draw, over that of the reconstruction's.

    Args:
        regularizers: the regularizers by the name of the implementation; empty for no audit.
        images: the batch, `(batch, height, width, channels)`.
        is_estimate: whether the trained term draws samples, so that its gradient is averaged over several draws.
        interval: epochs between two audits. The first and the last epoch are audited, too.
        compiled: whether the audit is an XLA program.
    """

    def __init__(
        self,
        regularizers: Mapping[str, KLRegularizer],
        images: tf.Tensor,
        is_estimate: bool = True,
        interval: int = 1,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self._regularizers = dict(regularizers)
        self._images = images
        self._compiled = compiled
        self._draws = TERM_DRAWS if is_estimate else 1
        self._interval = interval

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the audit to the epoch's logs."""
        if logs is None or not self._regularizers:
            return
        number = epoch + 1
        if number % self._interval and number not in (1, self.params["epochs"]):
            logs.pop("effective_beta", None)
            return
        quantities, weight, kl_per_latent, mean = self._program()(self._images)
        logs |= {name: value.numpy().item() for name, value in quantities.items()}
        active = active_units(mean.numpy(), self.model.latent.size)
        for quantity, values in (("kl_per_latent", kl_per_latent.numpy()), ("active", active)):
            for number, value in enumerate(values):
                logs[QuantityName.of_latent(quantity, number, len(active)).log] = float(value)
        logs[_log_name("active_units")] = float(active.sum())
        weight = LocalWeight(*(value.numpy().item() for value in weight))
        logs |= {_log_name("local_weight"): weight.weight, _log_name("residual_share"): weight.residual}
        if self._draws > 1:
            logs |= {_log_name("local_weight_error"): weight.weight_error}
            logs |= {_log_name("residual_share_error"): weight.residual_error}
        if "effective_beta" in logs and not (weight.is_multiple() and weight.agrees(logs["effective_beta"])):
            logs["effective_beta"] = math.nan

    def _program(self) -> Callable[[tf.Tensor], Any]:
        # Without autograph, which has nothing to convert here and would take seconds
        return program(
            self.model, "audit", lambda: tf.function(self._compare, autograph=False, jit_compile=self._compiled)
        )

    def _compare(self, images: tf.Tensor) -> tuple[dict[str, tf.Tensor], LocalWeight, tf.Tensor, tf.Tensor]:
        """Return the quantities by name, the trained term's weight, the KL per latent variable, and the means."""
        model = self.model
        posterior, prior = model.encode(images), model.prior_distribution()
        step = tf.convert_to_tensor(model.batches_seen)

        def keyed(stream: Stream) -> Key:
            return key(model.noise_seed, stream, step)

        def draw(posterior: Any, key: Key) -> tf.Tensor:
            return model.latent.training_sample(posterior, key, step)

        def measured(term: Callable[..., tf.Tensor], draws: int = 1) -> Gradients:
            keys = keyed(Stream.AUDIT_POSTERIOR), keyed(Stream.AUDIT_REGULARIZER)
            return gradients(term, posterior, prior, draw, keys, draws)

        kl = reference_gradients(posterior, prior, keyed(Stream.AUDIT_REFERENCE))
        quantities: dict[str, tf.Tensor] = {}
        if kl.draws > 1:
            quantities = {_log_name("reference"): kl.value, _log_name("reference_error"): kl.error}
        for name, regularizer in self._regularizers.items():
            try:
                found = measured(regularizer)
            except UserError:
                continue  # it cannot be computed for this family or prior
            quantities |= {
                _log_name("value", name): found.value,
                _log_name("gap", name): found.value - kl.value,
                _log_name("gradient_cosine", name): _cosine(found.mean, kl),
                _log_name("gradient_length_ratio", name): _length_ratio(found.mean, tf.sqrt(kl.square)),
                _log_name("dead_gradient_share", name): _dead_share(found.mean, kl.mean),
                _log_name("clipped_share", name): _clipped_share(regularizer.function_arguments(posterior, prior)),
            }

        def trained_term(posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
            term = model.objective.term(model.kl, posterior, prior, z, key=key, step=step)
            return model.current_beta() * term

        def reconstruction(posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
            return -tf.reduce_mean(model.likelihood.log_prob(images, model.decoder(z, training=False)))

        term = measured(trained_term, self._draws)
        length = tf.norm(measured(reconstruction).mean)
        quantities[_log_name("gradient_ratio")] = _length_ratio(term.rows[0], length)
        kl_per_latent = tf.reduce_mean(posterior.kl_divergence(model.latent.prior()), axis=0)
        return quantities, local_weight(term, kl), kl_per_latent, posterior.mean


def _log_name(quantity: str, implementation: str = "") -> str:
    return QuantityName(AUDIT, quantity, implementation).log


def _cosine(gradient: tf.Tensor, kl: Gradients) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(gradient * kl.mean), tf.norm(gradient) * tf.sqrt(kl.square))


def _length_ratio(gradient: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.norm(gradient), length)


def _dead_share(gradient: tf.Tensor, exact: tf.Tensor) -> tf.Tensor:
    alive = exact != 0.0
    dead = tf.logical_and(alive, gradient == 0.0)
    return tf.math.divide_no_nan(*(tf.reduce_sum(tf.cast(mask, tf.float32)) for mask in (dead, alive)))


def _clipped_share(arguments: list[tf.Tensor]) -> tf.Tensor:
    if not arguments:
        return tf.constant(0.0)
    clipped = [tf.cast(tf.logical_or(values < CLIP, values > 1.0), tf.float32) for values in arguments]
    return tf.reduce_mean(tf.concat([tf.reshape(values, [-1]) for values in clipped], axis=0))
