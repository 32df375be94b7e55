"""The marginal likelihood, estimated by importance sampling."""

import math
from typing import Any

import tensorflow as tf

from vae.model import VAE
from vae.random import Key, Stream, row_keys

SAMPLES_A_PASS = 50


def importance_weighted_nll(model: VAE, images: tf.Tensor, samples: int, seed: int, first: Any = 0) -> tf.Tensor:
    """Return an estimate of -log p(x) for each image, in nats, `(batch,)`.

    -log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x): Burda, Grosse and Salakhutdinov 2016, "Importance
    weighted autoencoders". In expectation it is too high, the less so the more samples it uses.

    Args:
        model: a VAE.
        images: `(batch, height, width, channels)` in [0, 1].
        samples: k.
        seed: seed of the samples.
        first: index of the first image in its data set. The samples of an image depend only on seed and index.
    """
    posterior, prior = model.encode(images), model.prior_distribution()
    posterior_of_samples = posterior.with_sample_axis()
    prior_of_samples = prior.with_sample_axis() if prior.factorized else prior
    batch = tf.shape(images)[0]
    passes = math.ceil(samples / SAMPLES_A_PASS)
    repeated = tf.repeat(images, SAMPLES_A_PASS, axis=0)
    first = tf.cast(first, tf.int64) * passes

    def log_weights(number: tf.Tensor) -> tf.Tensor:
        every = row_keys(seed, Stream.IMPORTANCE_SAMPLES, first + number, batch * passes)
        z = posterior.sample(Key(every.value[::passes]), SAMPLES_A_PASS)
        log_likelihood = model.likelihood.log_prob(repeated, model.decode(tf.reshape(z, [-1, model.latent.z_size])))
        log_prior = tf.reduce_sum(prior_of_samples.log_prob(z), axis=-1)
        log_posterior = tf.reduce_sum(posterior_of_samples.log_prob(z), axis=-1)
        return tf.reshape(log_likelihood, [batch, SAMPLES_A_PASS]) + (log_prior - log_posterior)

    by_pass = tf.map_fn(log_weights, tf.range(passes, dtype=tf.int64), fn_output_signature=tf.float32)
    by_image = tf.reshape(tf.transpose(by_pass, [1, 0, 2]), [batch, passes * SAMPLES_A_PASS])[:, :samples]
    return math.log(samples) - tf.reduce_logsumexp(by_image, axis=1)
