"""The variational autoencoder: a Keras model that knows nothing about data, files or configuration."""

from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

import vae.kl
from vae.kl.base import KLRegularizer, canonical_mean
from vae.latents import LatentFamily, Prior, kl_per_example
from vae.likelihoods import Likelihood
from vae.objectives import ELBO
from vae.random import Stream, key, keys, regularizer_key
from vae.schedules import Schedule

for name in vae.kl.__all__:
    getattr(vae.kl, name)  # loads it, and so registers the regularizers that a saved model may name


class MeanTerms(keras.metrics.Metric):
    """The weighted means of what is logged: regularizer, ELBO, reconstruction and KL, in nats.

    One metric for all: in a compiled step of a millisecond a metric each would be a tenth of it.
    """

    def __init__(self) -> None:
        super().__init__(name="mean_terms", dtype="float32")
        self._totals = self.add_variable((3,), "zeros", name="totals")
        self._weight = self.add_variable((), "zeros", name="weight")

    def update_state(self, means: tf.Tensor, weight: tf.Tensor) -> None:
        """Adds a batch: the means of regularizer, reconstruction and KL, `(3,)`, and the sum of its weights."""
        self._totals.assign_add(weight * means)
        self._weight.assign_add(weight)

    def result(self) -> dict[str, tf.Tensor]:
        """The means by name."""
        means = tf.math.divide_no_nan(tf.convert_to_tensor(self._totals), tf.convert_to_tensor(self._weight))
        regularizer, reconstruction, kl = tf.unstack(means)
        return {
            "regularizer": regularizer,
            "elbo": -(reconstruction + kl),
            "reconstruction": reconstruction,
            "kl": kl,
        }


@keras.saving.register_keras_serializable(package="vae")
class VAE(keras.Model):
    """A VAE under any KL regularizer.

    Trained is `reconstruction + beta * regularizer`. Logged beside that are the canonical quantities, in nats, summed
    over pixels and latent variables and averaged over examples: `reconstruction` = -log p(x|z), `kl` =
    D[q(z|x) || p(z)] in closed form (under a learned prior, estimated from z), and `elbo` = -(reconstruction + kl).
    They are the same whatever the regularizer.

    Images are `(batch, height, width, channels)` in [0, 1]. `compile` takes an optimizer and no loss::

        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(images, epochs=10)

    The noise is a function of the seed and of how many batches the model has seen, which is saved with it; in
    evaluation, of the seed and the image's place in the data, so that the batch size changes no figure.

    Args:
        encoder: images to the posterior's parameters (`vae.networks`).
        decoder: z to the likelihood's parameters, in the images' shape.
        latent: the family of latent variables, such as `GaussianLatent(16)`.
        likelihood: p(x|z), a layer of `vae.likelihoods`.
        kl: the regularizer that is trained.
        beta: its weight. A weight of the model, so that callbacks can change it while a compiled step runs.
        seed: of all noise.
        schedule: what beta is multiplied with, as a function of the step; None for 1.
        objective: what stands around the regularizer; None for nothing.
        prior: p(z); None for the latent family's own.

    References:
        Kingma and Welling 2014, "Auto-encoding variational Bayes", equation 10.
        Higgins et al. 2017, "beta-VAE", equation 4.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        latent: LatentFamily,
        likelihood: Likelihood,
        kl: KLRegularizer,
        beta: float = 1.0,
        seed: int = 0,
        schedule: Schedule | None = None,
        objective: ELBO | None = None,
        prior: Prior | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)  # its parts have precisions of their own
        self.encoder = encoder
        self.decoder = decoder
        self.latent = latent
        self.likelihood = likelihood
        self.kl = kl
        self.seed = seed
        self.schedule = schedule
        self.objective = objective or ELBO()
        self.prior = prior or Prior()
        self.beta = self._state("beta", beta, "float32")
        self.batches_seen = self._state("batches_seen", 0, "int64")
        self._images_evaluated = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._mean_terms = MeanTerms()
        self.build(encoder.input_shape)

    def build(self, input_shape: Any) -> None:
        """Builds what the constructor's parts have not built themselves."""
        self.likelihood(self.decoder.output)
        if not self.prior.built:
            self.prior.prepare(self.latent, self.encoder.input_shape[1:])
        self.built = True

    def _state(self, name: str, value: float, dtype: str) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(shape=(), initializer=initializer, dtype=dtype, trainable=False, name=name)

    def call(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """One pass with one posterior sample per image.

        Returns:
            "posterior", the encoder's output `(batch, parameter_count)`; "z" `(batch, z_size)`; "likelihood", the
            decoder's output in the images' shape.
        """
        parameters = self.encoder(images, training=training)
        posterior = self.latent.posterior(parameters)
        if training:
            step = tf.convert_to_tensor(self.batches_seen)
            draw = key(self.seed, Stream.TRAINING_POSTERIOR, step)
            z = self.latent.training_sample(posterior, draw, step)
        else:
            z = posterior.sample(self._evaluation_keys(Stream.EVALUATION_POSTERIOR, tf.shape(images)[0]))
        return {"posterior": parameters, "z": z, "likelihood": self.decoder(z, training=training)}

    def _evaluation_keys(self, stream: Stream, count: Any) -> tf.Tensor:
        """Keys of the next `count` images of an evaluation, so that the batch size changes no figure."""
        return keys(self.seed, stream, self._images_evaluated, count)

    def compute_loss(
        self,
        x: tf.Tensor | None = None,
        y: Any = None,
        y_pred: dict[str, tf.Tensor] | None = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """What training minimises, a scalar in nats; updates the metrics on the way.

        Args:
            x: the images.
            y: ignored: a VAE reconstructs its input.
            y_pred: what `call` returned.
            sample_weight: weights of the examples, `(batch,)`, or None.
            training: whether this is a training step.
        """
        assert x is not None
        assert y_pred is not None
        posterior, prior, z = self.latent.posterior(y_pred["posterior"]), self.prior_distribution(), y_pred["z"]
        examples, step = tf.shape(z, tf.int64)[0], tf.convert_to_tensor(self.batches_seen)
        terms = self.per_example_terms(x, posterior, prior, z, y_pred["likelihood"])
        reconstruction, kl = (canonical_mean(terms[name], sample_weight) for name in ("reconstruction", "kl"))
        if training:
            draw = key(self.seed, Stream.TRAINING_REGULARIZER, step)
        else:
            draw = self._evaluation_keys(Stream.EVALUATION_REGULARIZER, examples)
        with regularizer_key(draw):
            regularizer = self.objective.term(self.kl, posterior, prior, z, sample_weight, step)
        weight = tf.cast(examples, tf.float32) if sample_weight is None else tf.reduce_sum(sample_weight)
        # What is logged and what is minimised share their means: XLA would compute the cross-entropy for each
        self._mean_terms.update_state(tf.stack([regularizer, reconstruction, kl]), weight)
        loss = reconstruction + self.current_beta() * regularizer
        if training:
            self.batches_seen.assign_add(1)
        else:
            self._images_evaluated.assign_add(examples)
        return loss

    def per_example_terms(
        self, images: tf.Tensor, posterior: Any, prior: Any, z: tf.Tensor, likelihood_parameters: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Return the canonical terms of each image in nats: "reconstruction", -log p(x|z), and "kl", D[q || p]."""
        return {
            "reconstruction": -self.likelihood.log_prob(images, likelihood_parameters),
            "kl": kl_per_example(posterior, prior, z),
        }

    def current_beta(self) -> tf.Tensor:
        """Beta as it is at the step that comes next: a float32 scalar."""
        beta = tf.convert_to_tensor(self.beta)
        return beta if self.schedule is None else beta * self.schedule(tf.convert_to_tensor(self.batches_seen))

    def prior_distribution(self) -> Any:
        """p(z) as it is now."""
        return self.prior.distribution(self.latent, self.encode)

    def reset_metrics(self) -> None:
        """Starts the metrics, and with them the evaluation's noise, anew. Keras calls it before every evaluation."""
        super().reset_metrics()
        self._images_evaluated.assign(0)

    def predict_step(self, data: Any) -> tf.Tensor:
        """The reconstructions that `predict` returns."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.reconstruct(images)

    def encode(self, images: Any) -> Any:
        """q(z|x): for a Gaussian, a distribution whose `mu` and `log_var` are `(batch, latents)`."""
        return self.latent.posterior(self.encoder(images, training=False))

    def decode(self, z: Any) -> tf.Tensor:
        """The likelihood's parameters (for a Bernoulli, logits) in the images' shape, for z of `(batch, z_size)`."""
        return self.decoder(z, training=False)

    def reconstruct(self, images: Any) -> tf.Tensor:
        """E[x|z] at the posterior's mean: images in [0, 1]."""
        return self.likelihood(self.decode(self.encode(images).mean))

    def sample(self, n: int, seed: int | None = None) -> tf.Tensor:
        """E[x|z] for n draws of z from the prior: images `(n, height, width, channels)` in [0, 1].

        Args:
            n: how many.
            seed: the same seed gives the same images; None draws a new one.
        """
        seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        z = self.prior_distribution().sample(key(seed, Stream.PRIOR_SAMPLES, 0), batch=n)
        return self.likelihood(self.decode(z))

    def regularizer_scale(self, batch_size: int) -> float:
        """How many times the canonical KL the regularizer is, measured on a batch of this size.

        Effective beta, the weight that training really uses, is beta times this.
        """
        near, far = (self.latent.probe(batch_size, distance) for distance in (0.0, 1.0))
        return self.kl.scale(near, far, self.latent.prior())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the models, the latent family and the regularizer in Keras's own form."""
        parts = ("encoder", "decoder", "latent", "likelihood", "kl", "schedule", "objective", "prior")
        return {
            **super().get_config(),
            **{name: keras.saving.serialize_keras_object(getattr(self, name)) for name in parts},
            "beta": float(self.beta.numpy()),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """A new model, with new weights, from what `get_config` returned."""
        objects = {
            name: keras.saving.deserialize_keras_object(value, custom_objects) if isinstance(value, dict) else value
            for name, value in config.items()
            if name != "dtype"
        }
        return cls(**objects)
