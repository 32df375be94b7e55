"""Arguments of a loss as float64 arrays, and the differences of the loss around them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Field = Literal["images", "reconstruction", "mu", "log_var"]
Elementwise = Callable[[Array, Array], Array]

LOW, HIGH = 0.2, 0.8  # images and reconstructions: values that are valid as probabilities, as logits and as pixels
STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))  # the first derivative up to an error of step^4


@dataclass(frozen=True)
class Point:
    """Arguments of a loss.

    Args:
        images: x, `(batch, *shape)` in [0, 1].
        reconstruction: what the decoder returned for them, in the same shape.
        mu: the posterior's means, `(batch, *latents)`.
        log_var: the logarithms of its variances, in the same shape.
    """

    images: Array
    reconstruction: Array
    mu: Array
    log_var: Array

    @classmethod
    def drawn(cls, batch: int, shape: Sequence[int], latents: Sequence[int], seed: int = 0) -> "Point":
        """Return images and reconstructions from U(0.2, 0.8), means from N(0, 1), log-variances from U(-1.5, 0.5)."""
        generator = np.random.default_rng(seed)
        images, reconstruction = generator.uniform(LOW, HIGH, size=(2, batch, *shape))
        mu = generator.normal(size=(batch, *latents))
        return cls(images, reconstruction, mu, generator.uniform(-1.5, 0.5, size=mu.shape))

    def with_posterior(self, mean_scale: float, lowest: float, highest: float) -> "Point":
        """Return the point with means scaled, and with log-variances moved into an interval."""
        log_var = lowest + (self.log_var + 1.5) / 2.0 * (highest - lowest)
        return replace(self, mu=mean_scale * self.mu, log_var=log_var)

    def with_errors(self, scale: float) -> "Point":
        """Return the point with reconstructions whose errors are scaled."""
        return replace(self, reconstruction=self.images + scale * (self.reconstruction - self.images))

    def moved(self, field: Field, index: tuple[int, ...], distance: float) -> "Point":
        """Return the point with one number moved."""
        values = getattr(self, field).copy()
        values[index] += distance
        return replace(self, **{field: values})


Loss = Callable[[Point], float]


@dataclass(frozen=True)
class Gradient:
    """Derivatives of a loss by some numbers of its arguments.

    Args:
        values: the derivatives, `(fields * count,)`.
        noise: the length of the error that rounding can give them.
        point: where they were measured.
        fields: the arguments by which the loss was differentiated.
        count: how many numbers of each were moved.
        step: the distance between the points of the stencil.
    """

    values: Array
    noise: float
    point: Point
    fields: Sequence[Field]
    count: int
    step: float

    @property
    def length(self) -> float:
        """The Euclidean length."""
        return float(np.linalg.norm(self.values))

    @property
    def is_zero(self) -> bool:
        """True if nothing but rounding was measured."""
        return self.length <= 4.0 * self.noise

    def of(self, formula: Elementwise) -> Array:
        """Return the same derivatives, by the same stencil, of an elementwise term in its canonical reduction.

        That is the sum over all axes but the first and the mean over the first.

        Args:
            formula: a function of (images, reconstruction) or of (mu, log_var).
        """
        pair = ("images", "reconstruction") if self.fields[0] == "reconstruction" else ("mu", "log_var")
        found = []
        for field in self.fields:
            total = np.zeros_like(getattr(self.point, field))
            for distance, weight in STENCIL:
                moved = [getattr(self.point, name) + distance * self.step * (name == field) for name in pair]
                with np.errstate(all="ignore"):  # a term that is undefined here, such as log of a negative sigma
                    total = total + weight * formula(*moved) / self.step
            found += [total[index] for index in entries(total.shape, self.count)]
        return np.array(found) / len(self.point.mu)


def differences(
    loss: Loss, point: Point, fields: Sequence[Field], count: int, step: float, precision: float
) -> Gradient:
    """Return the derivatives of a loss by `count` numbers of each field.

    Args:
        loss: the loss.
        point: where to measure.
        fields: the arguments by which to differentiate; of the same shape, they share the indices.
        count: how many numbers of each; all of a smaller argument.
        step: the distance between the points of the stencil.
        precision: the relative rounding error of the loss's value.
    """
    values, sizes = [], []
    for field in fields:
        for index in entries(getattr(point, field).shape, count):
            around = [loss(point.moved(field, index, distance * step)) for distance, _ in STENCIL]
            values.append(sum(weight * value for (_, weight), value in zip(STENCIL, around, strict=True)) / step)
            sizes.append(max(abs(value) for value in around))
    noise = precision * float(np.linalg.norm(sizes)) / step
    return Gradient(np.array(values), noise, point, tuple(fields), count, step)


def entries(shape: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """Return the indices of `count` different numbers of an array, spread at random; all of a smaller one."""
    size = int(np.prod(shape))
    chosen = np.random.default_rng(1).choice(size, size=min(count, size), replace=False)
    return [tuple(int(axis) for axis in np.unravel_index(number, shape)) for number in chosen]
