"""Arguments of a loss as float64 arrays, and the differences of the loss around them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Field = Literal["images", "reconstruction", "mu", "log_var"]
Elementwise = Callable[[Array, Array], Array]

LOW, HIGH = 0.2, 0.8  # images and reconstructions: values that are valid as probabilities, as logits and as pixels
#: Other posteriors, as arguments of `Point.with_posterior`.
NEAR_THE_PRIOR, FAR_FROM_THE_PRIOR = (0.1, -0.1, 0.1), (3.0, -4.0, -2.0)
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

    def moved(self, direction: "Direction", distance: float) -> "Point":
        """Return the point with some of its arguments moved along a direction."""
        return replace(self, **{name: getattr(self, name) + distance * along for name, along in direction.items()})


Direction = Mapping[Field, Array]  # a change for each of some arguments, in the argument's shape
Loss = Callable[[Point], float]


def canonical(formula: Elementwise, field: Field) -> Loss:
    """Return a term in its canonical reduction: summed over all axes but the first, averaged over the first.

    Args:
        formula: a function of (images, reconstruction) or of (mu, log_var).
        field: one of its arguments.
    """
    first, second = ("images", "reconstruction") if field == "reconstruction" else ("mu", "log_var")

    def value(point: Point) -> float:
        with np.errstate(all="ignore"):  # a mistaken formula may be undefined here, as the log of a negative number
            return float(np.sum(formula(getattr(point, first), getattr(point, second)))) / len(point.mu)

    return value


def random_directions(point: Point, fields: Sequence[Field], count: int) -> list[Direction]:
    """Return directions that move every number of some arguments up or down by 1, at random and always the same."""
    generator = np.random.default_rng(1)
    return [
        {name: generator.choice([-1.0, 1.0], size=getattr(point, name).shape) for name in fields} for _ in range(count)
    ]


def single_directions(point: Point, fields: Sequence[Field], count: int) -> list[Direction]:
    """Return directions that move one number each: the same `count` of each argument at every call, or all of it."""
    directions: list[Direction] = []
    for name in fields:
        shape = getattr(point, name).shape
        size = math.prod(shape)
        for number in np.random.default_rng(1).choice(size, size=min(count, size), replace=False):
            along = np.zeros(size)
            along[number] = 1.0
            directions.append({name: along.reshape(shape)})
    return directions


@dataclass(frozen=True)
class Slopes:
    """Derivatives of a loss along some directions.

    Args:
        values: the derivatives, `(directions,)`.
        noise: the length of the error that rounding can give them.
    """

    values: Array
    noise: float

    @property
    def length(self) -> float:
        """The Euclidean length."""
        return float(np.linalg.norm(self.values))

    @property
    def are_zero(self) -> bool:
        """True if nothing but rounding was measured."""
        return self.length <= 4.0 * self.noise


def slopes(loss: Loss, point: Point, directions: Sequence[Direction], step: float, precision: float) -> Slopes:
    """Return the derivatives of a loss at a point along some directions, by differences of fourth order.

    Args:
        loss: the loss.
        point: where to measure.
        directions: along which to move.
        step: the distance between the points of the stencil.
        precision: the relative rounding error of the loss's value.
    """
    values, sizes = [], []
    for direction in directions:
        around = [loss(point.moved(direction, distance * step)) for distance, _ in STENCIL]
        values.append(sum(weight * value for (_, weight), value in zip(STENCIL, around, strict=True)) / step)
        sizes.append(max(abs(value) for value in around))
    return Slopes(np.array(values), precision * float(np.linalg.norm(sizes)) / step)
