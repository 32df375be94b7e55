"""Pixels that are distributed around the decoder's output, all with one scale."""

import math
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.likelihoods.base import Likelihood
from vae.options import PositiveFloat


class LocationScaleLikelihood(Likelihood):
    """Base class of likelihoods of independent pixels with one common scale; the decoder returns their locations.

    Args:
        scale: the scale, or "learned": one trainable number that starts at 0.1 and has a lower limit.
    """

    log_scale_floor: ClassVar[float] = -6.0  # of a learned scale

    def __init__(self, scale: Literal["learned"] | PositiveFloat = "learned", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        if scale == "learned":
            initial = keras.initializers.Constant(math.log(0.1))
            self._log_scale = self.add_weight(shape=(), initializer=initial, dtype="float32", name="log_scale")

    @property
    def log_scale(self) -> tf.Tensor:
        """The logarithm of the scale, a float32 scalar."""
        if self.scale != "learned":
            return tf.constant(math.log(float(self.scale)))
        floor = self.log_scale_floor
        return floor + tf.nn.softplus(tf.convert_to_tensor(self._log_scale) - floor)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z] as images: the locations, clipped to [0, 1]."""
        return tf.clip_by_value(tf.cast(parameters, tf.float32), 0.0, 1.0)

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean image itself."""
        return np.asarray(mean_image, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}
