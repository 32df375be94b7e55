"""One process of a distributed run: python -m tests.distributed.worker STRATEGY WEIGHTS EPOCHS [EPOCH_TO_DIE_AFTER].

Trains a tiny VAE for ten epochs, writes its weights, and goes on to EPOCHS.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae import VAE
from vae.data import training_chunks
from vae.distributed.strategies import WorkerLostError, build_strategy
from vae.kl import KerasLoss
from vae.latents import GaussianLatent
from vae.likelihoods import BernoulliLikelihood
from vae.networks import MLP
from vae.training.loop import train_function

BATCH_SIZE = 20
EPOCHS = 10
STEPS = 50
WORKER_LOST = 3


def images() -> NDArray[np.uint8]:
    """Ninety-one: four batches of twenty and one of eleven, which no two replicas share evenly."""
    return np.random.default_rng(0).integers(0, 256, (91, 8, 8, 1), dtype=np.uint8)


class Witness(keras.callbacks.Callback):
    """Writes the weights and the figures after EPOCHS, and kills its process after a later epoch."""

    def __init__(self, path: Path, last: int | None = None) -> None:
        super().__init__()
        self._path, self._last, self._figures = path, last, []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._figures.append([float(value) for value in (logs or {}).values()])
        if epoch + 1 == EPOCHS:
            np.savez(self._path, *self.model.get_weights(), figures=np.array(self._figures))
        if epoch + 1 == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def train(strategy: tf.distribute.Strategy | None, epochs: int, witness: Witness) -> VAE:
    """The same run, whatever the strategy."""
    keras.utils.set_random_seed(0)
    latent, network = GaussianLatent(4), MLP((16,))
    encoder, decoder = network.encoder((8, 8, 1), latent.parameter_count), network.decoder(4, (8, 8, 1))
    vae = VAE(encoder, decoder, latent, BernoulliLikelihood(), KerasLoss("symmetric"))
    vae.compile(keras.optimizers.Adam(1e-3, global_clipnorm=1.0))
    chunks, calls = training_chunks(images(), BATCH_SIZE, vae.seed)
    vae.optimizer.build(vae.trainable_variables)
    vae.train_function = train_function(vae, "dynamic", compiled=True, strategy=strategy)
    validation = tf.data.Dataset.from_tensor_slices(images().astype(np.float32) / 255).batch(BATCH_SIZE)
    vae.fit(
        chunks,
        epochs=epochs,
        steps_per_epoch=calls,
        shuffle=False,
        verbose=0,
        validation_data=validation,
        callbacks=[witness],
    )
    return vae


if __name__ == "__main__":
    name, path, epochs, *last = sys.argv[1:]
    if name == "mirrored":
        replicas = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], replicas)
    try:
        train(build_strategy(name), int(epochs), Witness(Path(path), *map(int, last)))
    except WorkerLostError as error:
        print(error, flush=True)
        sys.exit(WORKER_LOST)
