"""Which part of a loss is the sum, and which the mean, over what: measured by changing sizes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_WHOLE = 0.02  # how far from a whole number the power of a size may be


@dataclass(frozen=True)
class Sizes:
    """The sizes of the arguments.

    Args:
        batch: the number of examples.
        shape: of an image.
        latents: of a posterior.
        channels_first: whether the first axis of an image with three holds its channels.
    """

    batch: int
    shape: tuple[int, ...]
    latents: tuple[int, ...]
    channels_first: bool = False

    @property
    def image_axes(self) -> tuple[str, ...]:
        """The names of the axes of an image."""
        if len(self.shape) == 3:
            return ("channels", "height", "width") if self.channels_first else ("height", "width", "channels")
        return {1: ("pixels",), 2: ("height", "width")}.get(
            len(self.shape), tuple(f"image axis {number + 1}" for number in range(len(self.shape)))
        )

    @property
    def latent_axes(self) -> tuple[str, ...]:
        """The names of the axes of a posterior."""
        if len(self.latents) == 1:
            return ("latents",)
        return tuple(f"latent axis {number + 1}" for number in range(len(self.latents)))

    @property
    def by_axis(self) -> dict[str, int]:
        """Every size by the name of its axis."""
        names = ("batch", *self.image_axes, *self.latent_axes)
        return dict(zip(names, (self.batch, *self.shape, *self.latents), strict=True))

    def changed(self, axis: str) -> "Sizes":
        """Return the sizes with one of them doubled; 1 channel becomes 3, and 3 become 1."""
        size = self.by_axis[axis]
        other = {1: 3, 3: 1}.get(size, 2 * size) if axis == "channels" else 2 * size
        sizes = {**self.by_axis, axis: other}
        return Sizes(
            sizes["batch"],
            tuple(sizes[name] for name in self.image_axes),
            tuple(sizes[name] for name in self.latent_axes),
            self.channels_first,
        )


@dataclass(frozen=True)
class Reduction:
    """A weight as a constant times powers of the sizes.

    Args:
        weight: of the term in its canonical reduction, the sum over pixels or latents and the mean over examples.
        sizes: at which it was measured.
        powers: the power of each size to which the weight is proportional: 0 for the batch is the mean over it, 0 for
            another axis the sum, -1 the mean. None where the loss cannot be called at another size.
    """

    weight: float
    sizes: Mapping[str, int]
    powers: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def constant(self) -> float:
        """What is left of the weight without the powers of the sizes."""
        return self.weight / math.prod(self.sizes[axis] ** (power or 0.0) for axis, power in self.powers.items())


def measure(weights: Callable[[Sizes], Mapping[str, float]], sizes: Sizes) -> dict[str, Reduction]:
    """Return the reduction of every term of a loss.

    Args:
        weights: a function that returns the weight of every term at other sizes. It may raise anything.
        sizes: the sizes that are changed, one after the other.
    """
    base = weights(sizes)
    powers: dict[str, dict[str, float | None]] = {name: {} for name in base}
    for axis, size in sizes.by_axis.items():
        other = sizes.changed(axis)
        try:
            found: Mapping[str, float] = weights(other)
        except Exception:  # whatever a user's function raises for a size that it does not expect
            found = {}
        for name, weight in base.items():
            powers[name][axis] = _power(weight, found.get(name), other.by_axis[axis] / size)
    return {name: Reduction(weight, sizes.by_axis, powers[name]) for name, weight in base.items()}


def _power(before: float, after: float | None, growth: float) -> float | None:
    if after is None or not math.isfinite(after) or before == 0.0 or after / before <= 0.0:
        return None
    power = math.log(after / before) / math.log(growth)
    return float(round(power)) if abs(power - round(power)) < _WHOLE else power
