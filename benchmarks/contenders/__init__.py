"""The contenders that train the benchmark's VAE, one module per library, and their task."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae.compat import load_tensorflow

MATRIX_SIZE = 2048
SIDE = 28
LATENTS = 50
HIDDEN = (200, 200)
CONV_FILTERS, CONV_HIDDEN = (32, 64), 128
LEARNING_RATE, EPSILON = 1e-3, 1e-7
LOG_VAR_BOUNDS = (-20.0, 10.0)


@dataclass(frozen=True)
class Task:
    """The task of a contender.

    Args:
        model: "mlp" or "conv".
        batch: the number of images per step.
        directory: the folder of `images.npy`, and of all files that a contender writes.
        count: the number of training images, which make up a round: the first of the file. The validation images are
            the last of the file.
    """

    model: str
    batch: int
    directory: Path
    count: int

    @property
    def steps(self) -> int:
        """The number of whole batches per round."""
        return self.count // self.batch

    def training_images(self) -> NDArray[np.uint8]:
        """Return the training images, `(count, 28, 28, 1)`."""
        images: NDArray[np.uint8] = np.load(self.directory / "images.npy")
        return images[: self.count]

    def validation_images(self) -> NDArray[np.uint8]:
        """Return the validation images, a fifth as many as training images but at least a batch."""
        images: NDArray[np.uint8] = np.load(self.directory / "images.npy")
        return images[-max(self.batch, self.count // 5) :]


@dataclass(frozen=True)
class Round:
    """The figures of a contender's round.

    Args:
        milliseconds: the time of a training step, or of the operation that the contender repeats.
        loss: the mean over the steps of the round, in nats.
        epoch_seconds: the time of the whole epoch, with validation and everything else at its end.
    """

    milliseconds: float
    loss: float | None = None
    epoch_seconds: float | None = None


HandIn = Callable[[Round], None]
"""A function that takes the figures of a round and returns when it is the contender's turn again."""


@dataclass(frozen=True)
class Contender:
    """One way to train the VAE.

    Args:
        name: the name in the table.
        library: the name on the command line.
        function: the module of this package and the name of the function in it. The function takes a `Task`, a `HandIn`
            and the options. It trains forever and hands in every round.
        options: further arguments of the function.
        one_program: if True, a round is one XLA program. A step of convolutions in it takes seconds on a CPU.
    """

    name: str
    library: str
    function: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    one_program: bool = False

    def train(self, task: Task, hand_in: HandIn) -> None:
        """Import the library and train forever."""
        module, _, name = self.function.partition(".")
        if self.library not in _PACKAGES:
            load_tensorflow()
        getattr(import_module(f"{__name__}.{module}"), name)(task, hand_in, **self.options)

    @property
    def missing(self) -> str | None:
        """The reason why this contender cannot take part on this machine, or None."""
        if any(find_spec(package) is None for package in _PACKAGES.get(self.library, ())):
            return "not installed (pip install -e '.[bench]')"
        if self.function == "torch_steps.compiled" and shutil.which(os.environ.get("CXX", "g++")) is None:
            return "needs a C++ compiler"
        return None


_PACKAGES = {"jax": ("jax", "optax"), "torch": ("torch",)}  # packages that the project itself does not need
_FEW_CALLS = {"steps_per_execution": 50}
_JIT = {**_FEW_CALLS, "jit_compile": True}

MATRIX_PRODUCT = Contender("matrix product", "tensorflow", "matrix_product.multiply")
KERAS_DEFAULTS = Contender("Keras fit, defaults", "keras", "keras_fit.arrays")
CONTENDERS = (
    KERAS_DEFAULTS,
    Contender("Keras fit, jit", "keras", "keras_fit.arrays", _JIT),
    Contender("Keras fit, tf.data", "keras", "keras_fit.dataset", _FEW_CALLS),
    Contender("Keras fit, tf.data, jit", "keras", "keras_fit.dataset", _JIT),
    Contender("PyTorch, eager", "torch", "torch_steps.eager"),
    Contender("PyTorch, compiled", "torch", "torch_steps.compiled"),
    Contender("JAX, compiled step", "jax", "jax_steps.compiled_step"),
    Contender("JAX, compiled epoch", "jax", "jax_steps.compiled_epoch", one_program=True),
    Contender("ours, engine=keras", "ours", "ours.fit", {"engine": "keras"}),
    Contender("ours, engine=compiled", "ours", "ours.fit", {"engine": "compiled"}, one_program=True),
)
