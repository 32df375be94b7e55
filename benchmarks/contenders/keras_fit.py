"""Keras's own `fit`: on arrays, as in its documentation, and with `tf.data`."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from contenders import HandIn, Task
from contenders.keras_model import EPOCHS, HandingIn, new_model
from vae import VAE
from vae.random import Stream, key, uniform_like


class Binarizing(VAE):
    """A VAE that binarizes the images it gets from `fit`."""

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Train one step on a Bernoulli draw of the images."""
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        draw = key(self.seed, Stream.TRAIN_BINARIZATION, tf.convert_to_tensor(self.batches_seen))
        return super().train_step((tf.cast(uniform_like(images, draw) < images, tf.float32),))


def arrays(task: Task, hand_in: HandIn, **options: Any) -> None:
    """Train on float32 arrays, with these options of `compile`; the model binarizes."""
    images = task.training_images().astype(np.float32) / 255
    model = new_model(task.model, Binarizing, **options)
    model.fit(images, batch_size=task.batch, epochs=EPOCHS, verbose=0, callbacks=[HandingIn(task, hand_in)])


def dataset(task: Task, hand_in: HandIn, **options: Any) -> None:
    """Train with `tf.data`, with these options of `compile`.

    The pipeline shuffles indices, then reads and binarizes whole batches.
    """
    images = tf.constant(task.training_images())

    def read(indices: tf.Tensor) -> tf.Tensor:
        scaled = tf.cast(tf.gather(images, indices), tf.float32) / 255
        return tf.cast(tf.random.uniform(tf.shape(scaled)) < scaled, tf.float32)

    indices = tf.data.Dataset.range(task.count).shuffle(task.count).batch(task.batch)
    batches = indices.map(read, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    model = new_model(task.model, **options)
    model.fit(batches, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[HandingIn(task, hand_in)])
