"""NumPy, PyTorch, TensorFlow, JAX and Keras: their tensors, in double precision."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae.compat import load_tensorflow


@dataclass(frozen=True)
class Framework:
    """A framework that a loss may be written in.

    Args:
        name: its name in the report.
        module: its module; it is loaded only if the user's code has loaded it.
        tensor: a function of an array that returns a tensor of the same dtype.
        channels_first: whether its layers take images as `(batch, channels, height, width)`.
    """

    name: str
    module: str
    tensor: Callable[[NDArray[Any]], Any]
    channels_first: bool = False


def _torch(values: NDArray[Any]) -> Any:
    return sys.modules["torch"].from_numpy(values.copy())


def _jax(values: NDArray[Any]) -> Any:
    return importlib.import_module("jax.numpy").asarray(values)


def _tensorflow(values: NDArray[Any]) -> Any:
    return sys.modules["tensorflow"].constant(values)


#: In the order in which they are tried. A file that imports PyTorch and NumPy has its loss in PyTorch.
FRAMEWORKS = (
    Framework("PyTorch", "torch", _torch, channels_first=True),
    Framework("JAX", "jax", _jax),
    Framework("TensorFlow", "tensorflow", _tensorflow),
    Framework("NumPy", "numpy", lambda values: values),
)


def to_numpy(value: Any) -> NDArray[Any]:
    """Return a tensor of any of the frameworks as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)


def load(modules: set[str]) -> None:
    """Load those frameworks that a file imports, quietly, so that double precision can be set before it runs.

    A framework that is not installed is left to the file, whose own import then fails.
    """
    wanted = [each.module for each in FRAMEWORKS if each.module in modules]
    if "keras" in modules:  # after its backend, of which TensorFlow should be loaded quietly
        wanted += [os.environ.get("KERAS_BACKEND", "tensorflow"), "keras"]
    for name in wanted:
        with contextlib.suppress(ImportError):
            if name == "tensorflow" and name not in sys.modules:
                load_tensorflow()
            importlib.import_module(name)


def candidates(preferred: set[str]) -> list[Framework]:
    """Return the loaded frameworks in the order in which a loss should be tried with them.

    Those that its own file imports come first, among them NumPy last: a file in another framework imports it, too.

    Args:
        preferred: the modules that the file imports.
    """
    if "keras" in preferred and "keras" in sys.modules:
        preferred = {*preferred, sys.modules["keras"].backend.backend()}
    loaded = [each for each in FRAMEWORKS if each.module in sys.modules]
    return sorted(loaded, key=lambda each: each.module not in preferred)


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Let the loaded frameworks compute in float64 by default, PyTorch on one thread; restore both at the end."""
    with contextlib.ExitStack() as stack:
        if torch := sys.modules.get("torch"):
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)  # for small tensors, more of them cost more than they bring
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float64)
        if jax := sys.modules.get("jax"):
            stack.callback(jax.config.update, "jax_enable_x64", jax.config.jax_enable_x64)
            jax.config.update("jax_enable_x64", True)
        if keras := sys.modules.get("keras"):
            stack.callback(keras.config.set_floatx, keras.config.floatx())
            keras.config.set_floatx("float64")
        yield
