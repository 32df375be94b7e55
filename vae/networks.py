"""Encoders and decoders as functional Keras models.

An encoder maps images `(batch, height, width, channels)` in [0, 1] to the posterior's parameters
`(batch, parameter_count)`; a decoder maps z `(batch, latents)` to the likelihood's parameters in the images' shape.
The last layer of each computes in float32 whatever the precision policy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

ImageShape = tuple[int, int, int]


@dataclass(frozen=True)
class MLP:
    """Fully connected networks (Burda, Grosse and Salakhutdinov 2016, section 5: 200-200 tanh).

    Args:
        hidden: units of the encoder's hidden layers, from the image on; the decoder has them in reverse.
        activation: of the hidden layers, by its Keras name.
    """

    hidden: Sequence[int] = (200, 200)
    activation: str = "tanh"

    def encoder(self, image_shape: ImageShape, parameter_count: int) -> keras.Model:
        """Images to the posterior's parameters."""
        images = keras.Input(image_shape, name="images")
        x = layers.Flatten()(images)
        for units in self.hidden:
            x = layers.Dense(units, self.activation)(x)
        parameters = layers.Dense(parameter_count, dtype="float32", name="posterior")(x)
        return keras.Model(images, parameters, name="encoder")

    def decoder(self, latents: int, image_shape: ImageShape) -> keras.Model:
        """Z to the likelihood's parameters."""
        z = keras.Input((latents,), name="z")
        x = z
        for units in reversed(self.hidden):
            x = layers.Dense(units, self.activation)(x)
        x = layers.Dense(math.prod(image_shape), dtype="float32", name="likelihood")(x)
        return keras.Model(z, layers.Reshape(image_shape, dtype="float32")(x), name="decoder")


@dataclass(frozen=True)
class Conv:
    """Convolutions of stride 2, and their transposes, around one fully connected layer on either side.

    Any height and width will do: where halving rounds up, the decoder crops what it made too much.

    Args:
        filters: channels of the encoder's convolutions, from the image on; the decoder has them in reverse.
        hidden: units of the fully connected layer between convolutions and latent variables.
        activation: of the hidden layers, by its Keras name.
    """

    filters: Sequence[int] = (32, 64)
    hidden: int = 128
    activation: str = "relu"

    def encoder(self, image_shape: ImageShape, parameter_count: int) -> keras.Model:
        """Images to the posterior's parameters."""
        images = keras.Input(image_shape, name="images")
        x = images
        for channels in self.filters:
            x = layers.Conv2D(channels, 3, strides=2, padding="same", activation=self.activation)(x)
        x = layers.Dense(self.hidden, self.activation)(layers.Flatten()(x))
        parameters = layers.Dense(parameter_count, dtype="float32", name="posterior")(x)
        return keras.Model(images, parameters, name="encoder")

    def decoder(self, latents: int, image_shape: ImageShape) -> keras.Model:
        """Z to the likelihood's parameters."""
        height, width, channels = image_shape
        halvings = 2 ** len(self.filters)
        small = (math.ceil(height / halvings), math.ceil(width / halvings), self.filters[-1])
        z = keras.Input((latents,), name="z")
        x = layers.Dense(self.hidden, self.activation)(z)
        x = layers.Dense(math.prod(small), self.activation)(x)
        x = layers.Reshape(small)(x)
        for filters in reversed(self.filters):
            x = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation=self.activation)(x)
        surplus = (small[0] * halvings - height, small[1] * halvings - width)
        x = layers.Cropping2D([(extra // 2, extra - extra // 2) for extra in surplus])(x)
        parameters = layers.Conv2D(channels, 3, padding="same", dtype="float32", name="likelihood")(x)
        return keras.Model(z, parameters, name="decoder")


def are_faster_compiled(*networks: keras.Model) -> bool:
    """Whether XLA runs these networks faster than the library's kernels: all but convolutions on a CPU.

    There XLA's convolutions lose by far; docs/engine.md has the figures.
    """
    convolutions = layers.Conv2D | layers.Conv2DTranspose
    convolutional = any(isinstance(layer, convolutions) for network in networks for layer in network.layers)
    return not convolutional or bool(tf.config.list_physical_devices("GPU"))


def set_output_bias(decoder: keras.Model, parameters: NDArray[np.float32]) -> None:
    """Starts a decoder at a constant output, such as the data's mean: sets the bias of its layer "likelihood".

    Args:
        decoder: a decoder of this module.
        parameters: the likelihood's parameters, `(height, width, channels)`; averaged over pixels where the layer has
            one bias per channel only.
    """
    bias = decoder.get_layer("likelihood").bias
    per_pixel = bias.shape[0] == parameters.size
    bias.assign(parameters.reshape(-1) if per_pixel else parameters.mean(axis=(0, 1)))
