"""A loss as a function of arrays: the framework, the precision and the shapes with which it can be called."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vae.errors import UserError, kind_and_first_line
from vae.weigh import frameworks
from vae.weigh.formulas import FROM_LOG_VAR
from vae.weigh.frameworks import Framework
from vae.weigh.parameters import Parameters
from vae.weigh.point import Array, Point

TOTALS = ("loss", "total_loss", "total", "vae_loss", "elbo", "neg_elbo", "negative_elbo", "objective")
IMAGE = (28, 28, 1)
_TINY = (1.0e-6, 1.7e-6, 2.3e-6)  # distances at which float32 rounds visibly, and float64 does not


@dataclass(frozen=True)
class Call:
    """A loss that can be evaluated at a point.

    Args:
        function: the user's function.
        parameters: how it is called.
        framework: whose tensors it gets.
        dtype: of these tensors.
        output: which of several returned values is the loss: a key, an index, or "sum"; None for the one whose key is
            in `TOTALS`, or else the first.
    """

    function: Callable[..., Any]
    parameters: Parameters
    framework: Framework
    dtype: str = "float64"
    output: str | None = None

    def __call__(self, point: Point) -> float:
        """Return the loss; of a loss per example, its mean."""
        return float(np.mean(self.value(point)[0], dtype=np.float64))

    def value(self, point: Point) -> tuple[Array, str]:
        """Return what the function returned for the loss, and a description of what else it returned."""
        held = {
            "images": point.images,
            "reconstruction": point.reconstruction,
            "mu": point.mu,
            **{spread: holds(point.log_var) for spread, holds in FROM_LOG_VAR.items()},
        }
        tensors = {role: self.framework.tensor(held[role].astype(self.dtype)) for role in self.parameters.names}
        with np.errstate(all="ignore"):  # what is not finite is reported in words
            returned = self.parameters.call(self.function, tensors)
        chosen, words = _choose(returned, self.output)
        array = frameworks.to_numpy(chosen)
        if not np.issubdtype(array.dtype, np.number):
            raise TypeError(f"it returns {type(chosen).__name__}, not a number")
        if array.ndim:
            words += f"; the mean of what it returns, of shape {array.shape}"
        return array, words.removeprefix("; ")

    def returns_several(self, point: Point) -> bool:
        """Return True if the loss was chosen among several returned values."""
        return self.value(point)[1].startswith("output")

    def words(self, point: Point) -> str:
        """Return how it is called and what of its result is measured."""
        names = ", ".join(name if name == role else f"{name} as {role}" for role, name in self.parameters.names.items())
        constants = "".join(f", {name}={value!r}" for name, value in self.parameters.constants.items())
        chosen = self.value(point)[1]
        return f"{self.framework.name}, {self.dtype}: {names}{constants}" + (f"; {chosen}" if chosen else "")

    def precision(self, point: Point) -> float:
        """Return the relative rounding error of the loss: float64's, unless something in it computes in float32.

        Where it does, the values at three points so near to each other do not lie on a line.
        """
        bends = []
        for distance in _TINY:
            values = [self(_shifted(point, shift)) for shift in (-distance, 0.0, distance)]
            bends.append(abs(values[0] - 2.0 * values[1] + values[2]) / max(*map(abs, values), 1e-300))
        is_single = max(bends) > 1e-9 or self.value(point)[0].dtype.itemsize < 8
        return float(np.finfo(np.float32 if is_single else np.float64).eps)


def _shifted(point: Point, distance: float) -> Point:
    return Point(*(getattr(point, field.name) + distance for field in fields(point)))


def _choose(returned: Any, output: str | None) -> tuple[Any, str]:
    """Return the loss among what a function returned, and words that say which one it is."""
    if isinstance(returned, Mapping):
        named = {str(key): value for key, value in returned.items()}
    elif isinstance(returned, tuple | list):
        keys = getattr(returned, "_fields", range(len(returned)))
        named = {str(key): value for key, value in zip(keys, returned, strict=True)}
    else:
        if output is not None:
            raise UserError(f"--output={output}: it returns one value")
        return returned, ""
    if not named:
        raise TypeError("it returns nothing")
    if output == "sum":
        return sum(named.values()), f"the sum of {', '.join(named)}"
    if output is not None and output not in named:
        raise UserError(f"--output={output}: it returns {', '.join(named)}; give one of them, or sum")
    by_name = {key.lower(): key for key in named}
    total = next((by_name[name] for name in TOTALS if name in by_name), next(iter(named)))
    key = output if output is not None else total
    return named[key], f"output {key} of {', '.join(named)}"


def find_call(
    function: Callable[..., Any],
    parameters: Parameters,
    preferred: set[str],
    shapes: Sequence[tuple[int, ...]] | None,
    latents: tuple[int, ...],
    batch: int,
    output: str | None,
) -> tuple[Call, Point]:
    """Return a call that works, and the point at which it was tried.

    Args:
        function: the loss.
        parameters: how it is called.
        preferred: the modules that its file imports.
        shapes: the image shapes to try, without the batch; None for 28 x 28 pixels in the framework's order, then flat.
        latents: the shape of mu, without the batch.
        batch: the number of examples.
        output: as for `Call`.

    Raises:
        UserError: with what was tried and the first error.
    """
    tried, first = [], ""
    for framework in frameworks.candidates(preferred):
        for shape in shapes or ((*IMAGE[2:], *IMAGE[:2]) if framework.channels_first else IMAGE, (math.prod(IMAGE),)):
            for dtype in ("float64", "float32"):
                call = Call(function, parameters, framework, dtype, output)
                point = Point.drawn(batch, shape, latents)
                try:
                    value = call(point)
                except UserError:
                    raise
                except Exception as error:
                    problem = kind_and_first_line(error)
                else:
                    if math.isfinite(value):
                        return call, point
                    problem = f"it returns {value} for images and reconstructions in [0.2, 0.8]"
                tried.append(f"{framework.name} {dtype} {(batch, *shape)}")
                first = first or problem
    raise UserError(f"cannot be called: {first} (tried {', '.join(tried)}; mu {(batch, *latents)})")
