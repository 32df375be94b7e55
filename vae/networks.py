"""Encoders and decoders as functional Keras models."""

import math
from abc import ABC, abstractmethod

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from vae.errors import UserError
from vae.options import Units, Width
from vae.saving import Configurable

ImageShape = tuple[int, int, int]


class Networks(Configurable, ABC):
    """Base class of the choices of the group `model`: a subclass builds an encoder and a decoder.

    The last layer of each model has `dtype="float32"`, whatever the precision policy. `set_output_bias` needs the
    decoder's last layer with a bias to be named "likelihood".
    """

    @abstractmethod
    def encoder(self, image_shape: ImageShape, parameter_count: int) -> keras.Model:
        """Return a model from images to the posterior's parameters.

        Args:
            image_shape: (height, width, channels) of the images, which are in [0, 1].
            parameter_count: the numbers that the model gives for an example: its output is `(batch, parameter_count)`.
        """

    @abstractmethod
    def decoder(self, latents: int, image_shape: ImageShape) -> keras.Model:
        """Return a model from z to the likelihood's parameters, in the images' shape.

        Args:
            latents: the numbers in z: the model's input is `(batch, latents)`.
            image_shape: (height, width, channels) of the images.
        """


class MLP(Networks):
    """Fully connected networks (Burda, Grosse and Salakhutdinov 2016: 200-200 tanh).

    Args:
        hidden: units of the encoder's hidden layers, first layer first; the decoder has them in reverse.
        activation: the activation of the hidden layers, by its Keras name.
    """

    def __init__(self, hidden: Units = (200, 200), activation: str = "tanh") -> None:
        self.hidden = hidden
        self.activation = _known(activation)

    def encoder(self, image_shape: ImageShape, parameter_count: int) -> keras.Model:
        """Return a model from images to the posterior's parameters, `(batch, parameter_count)`."""
        images = keras.Input(image_shape, name="images")
        x = layers.Flatten()(images)
        for units in self.hidden:
            x = layers.Dense(units, self.activation)(x)
        parameters = layers.Dense(parameter_count, dtype="float32", name="posterior")(x)
        return keras.Model(images, parameters, name="encoder")

    def decoder(self, latents: int, image_shape: ImageShape) -> keras.Model:
        """Return a model from z, `(batch, latents)`, to the likelihood's parameters, in the images' shape."""
        z = keras.Input((latents,), name="z")
        x = z
        for units in reversed(self.hidden):
            x = layers.Dense(units, self.activation)(x)
        x = layers.Dense(math.prod(image_shape), dtype="float32", name="likelihood")(x)
        return keras.Model(z, layers.Reshape(image_shape, dtype="float32")(x), name="decoder")


class Conv(Networks):
    """Convolutions of stride 2, and their transposes, around one fully connected layer in each network.

    Images may have any height and width: the decoder crops its output if a halving rounded up.

    Args:
        filters: channels of the encoder's convolutions, first layer first; the decoder has them in reverse.
        hidden: units of the fully connected layer between convolutions and latent variables.
        activation: the activation of the hidden layers, by its Keras name.
    """

    def __init__(self, filters: Units = (32, 64), hidden: Width = 128, activation: str = "relu") -> None:
        self.filters = filters
        self.hidden = hidden
        self.activation = _known(activation)

    def encoder(self, image_shape: ImageShape, parameter_count: int) -> keras.Model:
        """Return a model from images to the posterior's parameters, `(batch, parameter_count)`."""
        images = keras.Input(image_shape, name="images")
        x = images
        for channels in self.filters:
            x = layers.Conv2D(channels, 3, strides=2, padding="same", activation=self.activation)(x)
        x = layers.Dense(self.hidden, self.activation)(layers.Flatten()(x))
        parameters = layers.Dense(parameter_count, dtype="float32", name="posterior")(x)
        return keras.Model(images, parameters, name="encoder")

    def decoder(self, latents: int, image_shape: ImageShape) -> keras.Model:
        """Return a model from z, `(batch, latents)`, to the likelihood's parameters, in the images' shape."""
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
        if any(surplus):
            x = layers.Cropping2D([(extra // 2, extra - extra // 2) for extra in surplus])(x)
        parameters = layers.Conv2D(channels, 3, padding="same", dtype="float32", name="likelihood")(x)
        return keras.Model(z, parameters, name="decoder")


def _known(activation: str) -> str:
    """Return the name of an activation; raise a UserError if Keras has none of that name."""
    try:
        keras.activations.get(activation)
    except ValueError:
        raise UserError(f"activation={activation}: Keras has no such activation; relu and tanh are two") from None
    return activation


def are_faster_compiled(*networks: keras.Model) -> bool:
    """Return True if XLA runs these networks faster than TensorFlow's kernels: all but convolutions on a CPU.

    On a CPU, XLA's convolutions are many times slower; docs/engine.md has the numbers.
    """
    convolutions = layers.Conv2D | layers.Conv2DTranspose
    convolutional = any(isinstance(layer, convolutions) for network in networks for layer in network.layers)
    return not convolutional or bool(tf.config.list_physical_devices("GPU"))


def set_output_bias(decoder: keras.Model, parameters: NDArray[np.float32]) -> None:
    """Set the bias of a decoder's layer "likelihood", so that training starts at a constant output.

    Args:
        decoder: a decoder built by a `Networks` class.
        parameters: the likelihood's parameters, `(height, width, channels)`, such as those of the mean image. They are
            averaged over pixels if the layer has one bias per channel.

    Raises:
        UserError: if the decoder has no layer "likelihood" with a bias.
    """
    bias = next((getattr(layer, "bias", None) for layer in decoder.layers if layer.name == "likelihood"), None)
    if bias is None:
        raise UserError('model: the last layer of the decoder must have a bias and the name "likelihood"')
    per_pixel = bias.shape[0] == parameters.size
    bias.assign(parameters.reshape(-1) if per_pixel else parameters.mean(axis=(0, 1)))
