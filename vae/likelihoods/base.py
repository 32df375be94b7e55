"""The base class of every likelihood, the project's and a user's."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.saving import register

PIXEL_AXES = (1, 2, 3)

#: What `Likelihood.log_prob` returns for images: the logarithm of the probability of the images as they are stored, or
#: a lower bound of it; of the probability of the images rounded to the likelihood's levels; of a density; minus a
#: cross-entropy; or something that only its author knows.
LogProbKind = Literal["probability", "rounded", "density", "cross_entropy", "unknown"]


class Likelihood(keras.layers.Layer, ABC):
    """Base class of the choices of the group `likelihood`: p(x|z), given the decoder's output.

    A call of the layer returns E[x|z], images in [0, 1]. A subclass is registered with Keras when it is defined.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "log_prob" in vars(cls) and "log_prob_of_samples" not in vars(cls):
            # An inherited fast form is one of another log_prob
            cls.log_prob_of_samples = Likelihood.log_prob_of_samples  # type: ignore[method-assign]
        register(cls)

    @abstractmethod
    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats, `(batch,)` float32.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            parameters: the decoder's output, in the same shape.
        """

    def log_prob_of_samples(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats for several z of each image, `(batch, samples)` float32: for evaluation only.

        A subclass may override it with the same numbers, up to rounding, in less time than by `log_prob`.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            parameters: the decoder's output, `(batch, samples, height, width, channels)`.
        """
        repeated = tf.broadcast_to(images[:, tf.newaxis], tf.shape(parameters))
        pixels = parameters.shape[2:]
        by_row = self.log_prob(tf.reshape(repeated, [-1, *pixels]), tf.reshape(parameters, [-1, *pixels]))
        return tf.reshape(by_row, tf.shape(parameters)[:2])

    @abstractmethod
    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z], images in [0, 1], for the decoder's output."""

    @abstractmethod
    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the decoder's output at the start of training, for the mean image `(height, width, channels)`."""

    def kind_of(self, images: tf.Tensor) -> LogProbKind:
        """Return what `log_prob` returns for these images. Only a "probability" has bits per dimension.

        Args:
            images: `(batch, height, width, channels)` in [0, 1], not a symbolic tensor.
        """
        return "unknown"
