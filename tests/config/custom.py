"""A user's class for every group of the configuration."""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.data import DataSource
from vae.kl import Analytic, DirectedKL, KLRegularizer
from vae.latents import GaussianLatent, Prior
from vae.likelihoods import BernoulliLikelihood
from vae.networks import ImageShape, Networks
from vae.objectives import Objective
from vae.options import PositiveFloat, PositiveInt, Unit
from vae.random import Key
from vae.schedules import Schedule


class Power(DirectedKL):
    """A power of the KL.

    Args:
        alpha: the exponent.
        form: the sign of the term.
    """

    def __init__(self, alpha: PositiveFloat = 1.0, form: Literal["cubic", "plain"] = "plain") -> None:
        super().__init__("forward")
        self.alpha = alpha
        self.form = form

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        return tf.pow(Analytic().divergence(first, second) + 1e-6, self.alpha)


class Stops(keras.callbacks.EarlyStopping):
    """Ends the training as Keras's own does."""


class OneLayer(Networks):
    """Networks without hidden layers, and without an option `hidden`.

    Args:
        bias: True for encoders with a bias.
    """

    def __init__(self, bias: bool = True) -> None:
        self.bias = bias

    def encoder(self, image_shape: ImageShape, parameter_count: int) -> keras.Model:
        images = keras.Input(image_shape)
        flat = keras.layers.Flatten()(images)
        return keras.Model(images, keras.layers.Dense(parameter_count, use_bias=self.bias, dtype="float32")(flat))

    def decoder(self, latents: int, image_shape: ImageShape) -> keras.Model:
        z = keras.Input((latents,))
        pixels = keras.layers.Dense(int(np.prod(image_shape)), dtype="float32", name="likelihood")(z)
        return keras.Model(z, keras.layers.Reshape(image_shape, dtype="float32")(pixels))


class Latent(GaussianLatent):
    """Gaussian latent variables under another name.

    Args:
        size: number of latent variables.
    """

    def __init__(self, size: PositiveInt = 3) -> None:
        super().__init__(size)


class ShiftedPrior(Prior):
    """The family's prior under another name."""


class Likelihood(BernoulliLikelihood):
    """Bernoulli pixels under another name."""


class Staircase(Schedule):
    """0, and 1 from `length` on.

    Args:
        length: when to rise, in `unit`.
        unit: "steps" or "epochs".
        steps_per_epoch: steps in an epoch; `train.py` fills it in.
    """

    def __init__(
        self, length: PositiveFloat = 1, unit: Unit = "epochs", steps_per_epoch: PositiveInt | None = None
    ) -> None:
        super().__init__(length, unit=unit, steps_per_epoch=steps_per_epoch)

    def __call__(self, step: Any) -> tf.Tensor:
        return tf.cast(tf.cast(step, tf.float32) >= self.steps, tf.float32)


class Squared(Objective):
    """The square of the regularizer.

    Args:
        factor: a factor of the square.
    """

    def __init__(self, factor: PositiveFloat = 0.01) -> None:
        self.factor = factor

    def term(
        self,
        kl: KLRegularizer,
        posterior: Any,
        prior: Any,
        z: tf.Tensor,
        *,
        key: Key,
        step: Any,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        return self.factor * tf.square(kl(posterior, prior, z, key=key, sample_weight=sample_weight))


class Descent(keras.optimizers.SGD):
    """Gradient descent under another name."""


class Stripes(DataSource):
    """Images of stripes.

    Args:
        count: images in a split.
    """

    def __init__(self, count: PositiveInt = 64) -> None:
        super().__init__("none")
        self.count = count

    def read_split(self, split: str) -> NDArray[np.uint8]:
        rows = np.arange(self.count)[:, np.newaxis, np.newaxis, np.newaxis]
        columns = np.arange(4)[np.newaxis, :, np.newaxis, np.newaxis]
        return np.broadcast_to(255 * ((rows + columns) % 2), (self.count, 4, 4, 1)).astype(np.uint8)


class Counter(keras.callbacks.Callback):
    """Counts epochs."""

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.count = first

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.count += 1
