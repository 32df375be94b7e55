"""The variational autoencoder: a Keras model without any knowledge of data, files or configuration.

The loss is put together in `VAE.compute_loss`.
"""

from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule

import vae.kl
from vae.kl.base import KLRegularizer, canonical_mean
from vae.kl.weight import Scale, scale_of
from vae.latents import LatentFamily, Prior, kl_per_example
from vae.likelihoods import Likelihood
from vae.objectives import ELBO, Objective
from vae.options import NonNegativeFloat, Seed
from vae.random import Key, Rows, Stream, key, row_keys, seed_words
from vae.saving import register

for name in dir(vae.kl):
    getattr(vae.kl, name)  # loads it, and so registers the regularizers that a saved model may name


class MeanTerms(keras.metrics.Metric):
    """The weighted means of the logged quantities: loss, regularizer, ELBO, reconstruction and KL, in nats.

    Keras averages the loss of batches by their sizes; the mean here, which takes its place, is by the sums of their
    weights, as all others are. One metric holds them all: in a compiled step of a millisecond, a metric for each would
    take a tenth of the time.
    """

    def __init__(self) -> None:
        super().__init__(name="mean_terms", dtype="float32")
        self._totals = self.add_variable((4,), "zeros", name="totals")
        self._weight = self.add_variable((), "zeros", name="weight")

    def update_state(self, means: tf.Tensor, weight: tf.Tensor) -> None:
        """Add a batch.

        Args:
            means: loss, regularizer, reconstruction and KL of the batch, `(4,)`.
            weight: the sum of the examples' weights.
        """
        self._totals.assign_add(weight * means)
        self._weight.assign_add(weight)

    def result(self) -> dict[str, tf.Tensor]:
        """Return the means by name."""
        means = tf.math.divide_no_nan(tf.convert_to_tensor(self._totals), tf.convert_to_tensor(self._weight))
        loss, regularizer, reconstruction, kl = tf.unstack(means)
        return {
            "loss": loss,
            "regularizer": regularizer,
            "elbo": -(reconstruction + kl),
            "reconstruction": reconstruction,
            "kl": kl,
        }


@register
class VAE(keras.Model):
    """A VAE under any KL regularizer.

    Training minimizes `reconstruction + beta * objective(regularizer)`. The logs also have the canonical quantities in
    nats, summed over pixels and latent variables and averaged over examples: `reconstruction` = -log p(x|z), `kl` =
    D[q(z|x) || p(z)] in closed form (estimated from z under a learned prior), and `elbo` = -(reconstruction + kl). They
    do not depend on the regularizer. Discrete latent variables are relaxed in training: the loss then has the
    reconstruction of relaxed draws, which bounds nothing, and the logs have that of true ones.

    Images are `(batch, height, width, channels)` in [0, 1]. `compile` takes an optimizer and no loss::

        model.compile(keras.optimizers.Adam(1e-3))
        model.fit(images, epochs=10)

    In training, all noise is a function of the seed and of the number of batches seen, which is saved with the model.
    In evaluation, it is a function of the seed and the image's place in the data, so that the batch size does not
    change any result.

    Args:
        encoder: a model from images to the posterior's parameters (`vae.networks`).
        decoder: a model from z to the likelihood's parameters, in the images' shape.
        latent: the family of latent variables, such as `GaussianLatent(16)`.
        likelihood: p(x|z), a layer of `vae.likelihoods`.
        kl: the regularizer.
        beta: the weight of the regularizer. It is a weight of the model, so that callbacks can change it while a
            compiled step runs.
        seed: the seed of all noise. Programs read it from the variable `noise_seed`, so that they serve all seeds.
        schedule: a factor of beta as a function of the step (`vae.schedules` or any Keras schedule); None for 1.
        objective: the changes to the regularizer from outside; None for `ELBO()`, which changes nothing.
        prior: p(z); None for the latent family's own.

    References:
        Kingma and Welling 2014, "Auto-encoding variational Bayes".
        Higgins et al. 2017, "beta-VAE: learning basic visual concepts with a constrained variational framework", eq. 4.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        latent: LatentFamily,
        likelihood: Likelihood,
        kl: KLRegularizer,
        beta: NonNegativeFloat = 1.0,
        seed: Seed = 0,
        schedule: LearningRateSchedule | None = None,
        objective: Objective | None = None,
        prior: Prior | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype="float32", **kwargs)  # the parts have precisions of their own
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
        self.noise_seed = tf.Variable(seed_words(seed), dtype=tf.int64, trainable=False)
        self._scales: dict[int, Scale] = {}  # by batch size
        self.programs: dict[str, Any] = {}  # by name; they refer to the model, and so must end with it
        self._mean_terms = MeanTerms()
        self.build(encoder.input_shape)

    def build(self, input_shape: Any) -> None:
        """Build the likelihood and the prior."""
        self.likelihood(self.decoder.output)
        if not self.prior.built:
            self.prior.prepare(self.latent, self.encoder.input_shape[1:])

    def _state(self, name: str, value: float, dtype: str) -> Any:
        initializer = keras.initializers.Constant(value)
        return self.add_weight(shape=(), initializer=initializer, dtype=dtype, trainable=False, name=name)

    def call(self, images: tf.Tensor, training: bool = False, rows: Rows | None = None) -> dict[str, tf.Tensor]:
        """Encode images, draw one z for each from its posterior, and decode it.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            training: whether this is a training step.
            rows: the place of the images in a larger batch, if they are a part of one.

        Returns:
            "posterior", the encoder's output `(batch, parameter_count)`; "z" `(batch, z_size)`; "likelihood", the
            decoder's output in the images' shape.
        """
        parameters = self.encoder(images, training=training)
        posterior = self.latent.posterior(parameters)
        if training:
            z = self.latent.training_sample(posterior, self._training_key(Stream.TRAINING_POSTERIOR, rows), self._step)
        else:
            z = posterior.sample(self._evaluation_keys(Stream.EVALUATION_POSTERIOR, tf.shape(images)[0]))
        return {"posterior": parameters, "z": z, "likelihood": self.decoder(z, training=training)}

    def compute_loss(
        self,
        x: tf.Tensor | None = None,
        y: Any = None,
        y_pred: dict[str, tf.Tensor] | None = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
        rows: Rows | None = None,
    ) -> tf.Tensor:
        """Return the loss that training minimizes, a scalar in nats, and update the metrics.

        Args:
            x: the images, `(batch, height, width, channels)` in [0, 1].
            y: ignored, since a VAE reconstructs its input.
            y_pred: the result of `call`.
            sample_weight: weights of the examples, `(batch,)`, or None for ones.
            training: whether this is a training step.
            rows: the place of the images in a larger batch, if they are a part of one.
        """
        assert x is not None
        assert y_pred is not None
        posterior, prior, z = self.latent.posterior(y_pred["posterior"]), self.prior_distribution(), y_pred["z"]
        examples = tf.shape(z, tf.int64)[0]
        terms = self.per_example_terms(x, posterior, prior, z, y_pred["likelihood"])
        reconstruction = trained = canonical_mean(terms["reconstruction"], sample_weight)
        if training and self.latent.is_relaxed:
            true_z = posterior.sample(self._training_key(Stream.TRAINING_POSTERIOR, rows))
            of_true_z = -self.likelihood.log_prob(x, self.decoder(true_z, training=False))
            reconstruction = canonical_mean(of_true_z, sample_weight)
        kl = canonical_mean(terms["kl"], sample_weight)
        if training:
            draws = self._training_key(Stream.TRAINING_REGULARIZER, rows)
        else:
            draws = self._evaluation_keys(Stream.EVALUATION_REGULARIZER, examples)
        regularizer = self.objective.term(
            self.kl, posterior, prior, z, key=draws, step=self._step, sample_weight=sample_weight
        )
        loss = trained + self.current_beta() * regularizer
        weight = (
            tf.cast(examples, tf.float32)
            if sample_weight is None
            else tf.reduce_sum(tf.cast(sample_weight, tf.float32))
        )
        # Logged and minimized quantities share their means: otherwise XLA would compute the cross-entropy twice
        self._mean_terms.update_state(tf.stack([loss, regularizer, reconstruction, kl]), weight)
        if training:
            self.batches_seen.assign_add(1)
        else:
            self._images_evaluated.assign_add(examples)
        return loss

    def per_example_terms(
        self, images: tf.Tensor, posterior: Any, prior: Any, z: tf.Tensor, likelihood_parameters: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Return the two canonical terms of each image's negative ELBO, in nats.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            posterior: q(z|x) of the images.
            prior: p(z).
            z: a sample of the posterior, `(batch, z_size)`.
            likelihood_parameters: the decoder's output for z, in the images' shape.

        Returns:
            "reconstruction", -log p(x|z), and "kl", D[q(z|x) || p(z)], `(batch,)` each. The KL is exact, or if there
            is no closed form, estimated from z.
        """
        return {
            "reconstruction": -self.likelihood.log_prob(images, likelihood_parameters),
            "kl": kl_per_example(posterior, prior, z),
        }

    @property
    def _step(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.batches_seen)

    def _training_key(self, stream: Stream, rows: Rows | None) -> Key:
        """Return the key of this training step's draws."""
        # A replica's program cannot read another device's variable
        return key(self.noise_seed if rows is None else self.seed, stream, self._step, rows)

    def _evaluation_keys(self, stream: Stream, count: Any) -> Key:
        """Return a key for each of the next `count` images of an evaluation."""
        return row_keys(self.noise_seed, stream, self._images_evaluated, count)

    def current_beta(self) -> tf.Tensor:
        """Return beta, times its schedule, at the next step: a float32 scalar."""
        beta = tf.convert_to_tensor(self.beta)
        return beta if self.schedule is None else beta * tf.cast(self.schedule(self._step), tf.float32)

    def prior_distribution(self) -> Any:
        """Return p(z) under the current weights."""
        return self.prior.distribution(self.latent, self.encode)

    def reset_metrics(self) -> None:
        """Reset the metrics and the noise of evaluation. Keras calls this before every evaluation."""
        super().reset_metrics()
        self._images_evaluated.assign(0)

    def predict_step(self, data: Any) -> tf.Tensor:
        """Return the reconstructions that `predict` returns."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self.reconstruct(images)

    def encode(self, images: Any) -> Any:
        """Return q(z|x): for a Gaussian, a distribution whose `mu` and `log_var` are `(batch, latents)`."""
        return self.latent.posterior(self.encoder(images, training=False))

    def decode(self, z: Any) -> tf.Tensor:
        """Return the likelihood's parameters (Bernoulli: logits) in the images' shape, for z of `(batch, z_size)`."""
        return self.decoder(z, training=False)

    def reconstruct(self, images: Any) -> tf.Tensor:
        """Return E[x|z] at the posterior's mean: images in [0, 1]."""
        return self.likelihood(self.decode(self.encode(images).mean))

    def sample(self, n: int, seed: int | None = None) -> tf.Tensor:
        """Return E[x|z] for n draws of z from the prior: images `(n, height, width, channels)` in [0, 1].

        Args:
            n: the number of images.
            seed: the seed of the draws; None for other images in each call.
        """
        seed = int(np.random.default_rng().integers(2**31)) if seed is None else seed
        z = self.prior_distribution().sample(key(seed, Stream.PRIOR_SAMPLES, 0), batch=n)
        return self.likelihood(self.decode(z))

    def regularizer_scale(self, batch_size: int) -> Scale:
        """Return the factor between the term that training adds, before beta, and the canonical KL.

        It is measured before training, on artificial posteriors and a batch of this size, and includes the objective.
        Effective beta is beta times the factor, which is None if the term is no multiple of the KL.
        """

        def term(posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, step: Any) -> tf.Tensor:
            return self.objective.term(self.kl, posterior, prior, z, key=key, step=step)

        if batch_size not in self._scales:
            self._scales[batch_size] = scale_of(term, self.latent, batch_size)
        return self._scales[batch_size]

    def take_over(self, other: "VAE") -> None:
        """Take over weights, optimizer state, beta and seed of a model whose configuration is the same otherwise.

        Programs that were compiled for this model so serve the run of the other one.
        """
        mine, theirs = ((*model.variables, *model.optimizer.variables) for model in (self, other))
        for variable, value in zip(mine, theirs, strict=True):
            variable.assign(value)
        self.seed = other.seed
        self.noise_seed.assign(other.noise_seed)
        self.reset_metrics()
        self.stop_training = False

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, each part in Keras's serialized form."""
        parts = ("encoder", "decoder", "latent", "likelihood", "kl", "schedule", "objective", "prior")
        return {
            **super().get_config(),
            **{name: keras.saving.serialize_keras_object(getattr(self, name)) for name in parts},
            "beta": float(self.beta.numpy()),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Return a new model, with new weights, from the result of `get_config`."""
        objects = {
            name: keras.saving.deserialize_keras_object(value, custom_objects) if isinstance(value, dict) else value
            for name, value in config.items()
            if name != "dtype"
        }
        return cls(**objects)
