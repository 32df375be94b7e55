"""Losses in Keras and TensorFlow: recipes as their authors write them."""

import keras
import tensorflow as tf
from keras import ops


def keras_example(data, reconstruction, z_mean, z_log_var):
    """Keras's own VAE example, with train_step's loss as a function."""
    reconstruction_loss = ops.mean(ops.sum(keras.losses.binary_crossentropy(data, reconstruction), axis=(1, 2)))
    kl_loss = -0.5 * (1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var))
    return reconstruction_loss + ops.mean(ops.sum(kl_loss, axis=1))


mse_loss_fn = keras.losses.MeanSquaredError()


def keras_subclassing_guide(x, reconstructed, z_mean, z_log_var):
    """Keras's guide to subclassing: MeanSquaredError, and the mean that its layer passes to add_loss."""
    kl_loss = -0.5 * tf.reduce_mean(z_log_var - tf.square(z_mean) - tf.exp(z_log_var) + 1)
    return mse_loss_fn(x, reconstructed) + kl_loss


def old_keras_blog(x, x_decoded_mean, z_mean, z_log_sigma):
    """The old Keras blog: a loss per example, of means over pixels and latent variables."""
    xent_loss = keras.losses.binary_crossentropy(x, x_decoded_mean)
    kl_loss = -0.5 * tf.reduce_mean(1 + z_log_sigma - tf.square(z_mean) - tf.exp(z_log_sigma), axis=-1)
    return xent_loss + kl_loss


def deep_learning_with_python(x, z_decoded, z_mean, z_log_var):
    """Deep Learning with Python, listing 8.26, in the functions of today's Keras."""
    x = ops.reshape(x, (-1,))
    z_decoded = ops.reshape(z_decoded, (-1,))
    xent_loss = keras.metrics.binary_crossentropy(x, z_decoded)
    kl_loss = -5e-4 * ops.mean(1 + z_log_var - ops.square(z_mean) - ops.exp(z_log_var), axis=-1)
    return ops.mean(xent_loss + kl_loss)


@tf.function
def in_a_graph(images, logits, mu, log_var):
    """The canonical loss in a tf.function."""
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=logits)
    kl = 0.5 * (tf.square(mu) + tf.exp(log_var) - 1 - log_var)
    return tf.reduce_mean(tf.reduce_sum(cross_entropy, axis=[1, 2, 3]) + tf.reduce_sum(kl, axis=-1))
