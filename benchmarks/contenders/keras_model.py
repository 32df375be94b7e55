"""The model that Keras's `fit` and this project's `fit` train, and the callback that hands in their epochs."""

import math
import time
from typing import Any

import keras

from contenders import CONV_FILTERS, CONV_HIDDEN, EPSILON, HIDDEN, LATENTS, LEARNING_RATE, SIDE, HandIn, Round, Task
from vae import VAE
from vae.kl import Analytic
from vae.latents import GaussianLatent
from vae.likelihoods import BernoulliLikelihood
from vae.networks import MLP, Conv

EPOCHS = 1000  # more than there are rounds


def new_model(name: str, kind: type[VAE] = VAE, latents: int = LATENTS, **options: Any) -> VAE:
    """Return the model "mlp" or "conv", compiled with Keras's options; with the same weights and draws each time."""
    keras.utils.set_random_seed(0)
    latent = GaussianLatent(latents)
    network = MLP(HIDDEN) if name == "mlp" else Conv(CONV_FILTERS, CONV_HIDDEN)
    shape = (SIDE, SIDE, 1)
    encoder, decoder = network.encoder(shape, latent.parameter_count), network.decoder(latents, shape)
    model = kind(encoder, decoder, latent, BernoulliLikelihood(), Analytic())
    model.compile(keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON), **options)
    return model


class HandingIn(keras.callbacks.Callback):
    """A callback that hands in every epoch and waits for the next turn. It must be the last callback.

    Args:
        task: the task of the contender.
        hand_in: the function that takes the figures of an epoch.
    """

    def __init__(self, task: Task, hand_in: HandIn) -> None:
        super().__init__()
        self._steps = math.ceil(task.count / task.batch)
        self._hand_in = hand_in

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Hand in the speed that a run of this project records, or else the time of the epoch."""
        assert logs is not None
        seconds = time.perf_counter() - self._began
        if "steps_per_second" in logs:
            self._hand_in(Round(1000 / logs["steps_per_second"], logs["loss"], seconds))
        else:
            self._hand_in(Round(1000 * seconds / self._steps, logs["loss"]))
