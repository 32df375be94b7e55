"""Pixels on equally spaced grey levels."""

from typing import Any, ClassVar, Literal

import tensorflow as tf

from vae.likelihoods.base import LogProbKind
from vae.likelihoods.location_scale import LocationScaleLikelihood
from vae.options import GreyLevels, PositiveFloat

_HIGHEST = 255.0  # the value of white in a stored image


class QuantizedLikelihood(LocationScaleLikelihood):
    """Base class of likelihoods of pixels, grey or of a colour channel, that take equally spaced levels from 0 to 1.

    A stored image has 8 bits, so that level k of L is stored as 255 k / (L - 1), rounded to an integer. `log_prob`
    rounds to the nearest level, and so removes that rounding.

    Args:
        levels: number of levels; None for 256. `train.py` fills in the number of the training images.
        scale: the scale, or "learned".
    """

    log_scale_floor: ClassVar[float] = -9.0  # a probability is bounded: the limit only keeps float32 in its range

    def __init__(
        self, levels: GreyLevels | None = None, scale: Literal["learned"] | PositiveFloat = "learned", **kwargs: Any
    ) -> None:
        super().__init__(scale, **kwargs)
        self.levels = 256 if levels is None else levels

    @property
    def spacing(self) -> float:
        """The distance of two levels."""
        return 1.0 / (self.levels - 1)

    def nearest_level(self, images: tf.Tensor) -> tf.Tensor:
        """Return the number of the level nearest to each pixel, 0 to `levels` - 1, as float32 in the images' shape."""
        highest = self.levels - 1.0
        return tf.clip_by_value(tf.round(tf.cast(images, tf.float32) * highest), 0.0, highest)

    def kind_of(self, images: tf.Tensor) -> LogProbKind:
        """Return "probability" if every pixel is one of the levels as images store them, else "rounded"."""
        stored = tf.round(self.nearest_level(images) * _HIGHEST / (self.levels - 1.0))
        distance = tf.abs(tf.cast(images, tf.float32) * _HIGHEST - stored)
        return "probability" if tf.reduce_all(distance < 1e-3) else "rounded"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "levels": self.levels}
