"""What a term of a loss is a multiple of: fits of its gradient to the gradients of known terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vae.weigh.point import (
    Array,
    Direction,
    Elementwise,
    Field,
    Loss,
    Point,
    Slopes,
    canonical,
    random_directions,
    single_directions,
    slopes,
)

FITS = 1e-3  # the share of a gradient's length that a clip, an epsilon or the differences may leave unexplained
DOUBLE = 1e-10  # the relative rounding error up to which a loss counts as one in float64


@dataclass(frozen=True)
class Fit:
    """A loss's gradient as a sum of the gradients of terms in their canonical reduction.

    Args:
        weights: a weight for each term, by least squares.
        misfit: the length of what they leave, as a share of the gradient's length: 0 for an exact fit.
        noise: the share of the gradient's length that rounding can explain.
    """

    weights: tuple[float, ...]
    misfit: float
    noise: float

    @property
    def weight(self) -> float:
        """The weight of the first term."""
        return self.weights[0]

    @property
    def is_exact(self) -> bool:
        """True if nothing is left that a reader should hear of."""
        return self.misfit < FITS + 5.0 * self.noise

    @property
    def cosine(self) -> float:
        """The cosine between the gradient and the fit, of which one term's is negative if its weight is."""
        return float(np.copysign(np.sqrt(max(0.0, 1.0 - self.misfit**2)), self.weight))

    def has_weight_of(self, other: "Fit") -> bool:
        """Return True if both weights are equal, up to what each leaves unexplained."""
        allowed = FITS + 5.0 * (self.noise + other.noise)
        return abs(self.weight - other.weight) <= allowed * max(abs(self.weight), abs(other.weight))


@dataclass(frozen=True)
class Place:
    """A loss at a point, with its derivatives along some directions.

    Args:
        loss: the loss.
        point: where it was measured.
        directions: along which.
        step: the distance of the differences.
        precision: the relative rounding error of the loss's value.
    """

    loss: Loss
    point: Point
    directions: Sequence[Direction]
    step: float
    precision: float

    @cached_property
    def slopes(self) -> Slopes:
        """The loss's derivatives."""
        return slopes(self.loss, self.point, self.directions, self.step, self.precision)

    def slopes_of(self, formula: Elementwise) -> Array:
        """Return the derivatives, by the same differences, of a term in its canonical reduction."""
        term = canonical(formula, next(iter(self.directions[0])))
        return slopes(term, self.point, self.directions, self.step, 0.0).values

    def fit(self, *formulas: Elementwise) -> Fit:
        """Return the fit of the loss's derivatives to a sum of terms; weights of 0 if one is undefined here."""
        columns = np.stack([self.slopes_of(formula) for formula in formulas], axis=1)
        if not np.isfinite(columns).all() or self.slopes.are_zero:
            return Fit((0.0,) * len(formulas), 1.0, 0.0)
        weights = np.linalg.lstsq(columns, self.slopes.values, rcond=None)[0]
        left = float(np.linalg.norm(self.slopes.values - columns @ weights))
        length = self.slopes.length
        return Fit(tuple(float(weight) for weight in weights), left / length, self.slopes.noise / length)


@dataclass(frozen=True)
class Differences:
    """A loss and how its differences are taken.

    Args:
        loss: the loss.
        precision: the relative rounding error of its values.
    """

    loss: Loss
    precision: float

    @property
    def step(self) -> float:
        """A distance at which the differences' own error and rounding are both small."""
        return 1e-3 if self.precision < DOUBLE else 0.03

    def at(self, point: Point, fields: Sequence[Field], count: int) -> Place:
        """Return the loss at a point with its derivatives along `count` random directions of some arguments."""
        return Place(self.loss, point, random_directions(point, fields, count), self.step, self.precision)

    def number_by_number(self, point: Point, fields: Sequence[Field], count: int) -> Place:
        """Return the loss at a point with its derivatives by `count` single numbers of each of some arguments."""
        return Place(self.loss, point, single_directions(point, fields, count), self.step, self.precision)
