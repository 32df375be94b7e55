"""How the weight of a term depends on the sizes, in words and formulas."""

import math
from collections.abc import Mapping, Sequence

from vae.weigh.part import Part
from vae.weigh.reduction import Reduction


def number(value: float) -> str:
    """Return a number with four digits."""
    return f"{value:.4g}"


def reduction_words(part: Part) -> str:
    """Return over which axes a part is summed and averaged; "" without a reduction."""
    powers = part.reduction.powers if part.reduction else {}
    own = [axis for axis in powers if axis == "batch" or ("latent" in axis) == (part.name == "KL")]
    kinds: dict[str, list[str]] = {}
    for axis in own:
        kinds.setdefault(_own_kind(axis, powers[axis]), []).append("the batch" if axis == "batch" else axis)
    for axis, power in powers.items():
        if axis not in own and power:
            kinds.setdefault(_other_kind(power), []).append(axis)
    return ", ".join(f"{kind} {_listed(axes)}" for kind, axes in kinds.items())


def _own_kind(axis: str, power: float | None) -> str:
    if power is None:
        return "measured only at this size of"
    shifted = power - 1.0 if axis == "batch" else power
    return {0.0: "sum over", -1.0: "mean over"}.get(shifted, f"growing by the power {number(shifted)} of")


def _other_kind(power: float) -> str:
    return {1.0: "multiplied by", -1.0: "divided by"}.get(power, f"multiplied by the power {number(power)} of")


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def weight_words(reduction: Reduction) -> str:
    """Return a weight with the sizes of which it is made, as "0.001276 = 1 / 784"."""
    product = {axis: power for axis, power in reduction.powers.items() if power}
    formula = _product(reduction.constant, product, reduction.sizes, named=False)
    return formula if formula == number(reduction.weight) else f"{number(reduction.weight)} = {formula}"


def beta_words(kl: Reduction, reconstruction: Reduction) -> str:
    """Return the effective beta with the sizes of which it is made, as "49 = 784 pixels / 16 latents"."""
    powers = {axis: (kl.powers[axis] or 0.0) - (reconstruction.powers.get(axis) or 0.0) for axis in kl.powers}
    value = kl.weight / reconstruction.weight
    formula = _product(kl.constant / reconstruction.constant, powers, kl.sizes, named=True)
    return formula if formula == number(value) else f"{number(value)} = {formula}"


def _product(constant: float, powers: Mapping[str, float | None], sizes: Mapping[str, int], named: bool) -> str:
    """Return a constant times powers of sizes as a formula."""
    factors, sizes = _merged({axis: power for axis, power in powers.items() if power}, sizes)
    above = [_factor(axis, sizes[axis], power, named) for axis, power in factors.items() if power > 0.0]
    below = [_factor(axis, sizes[axis], -power, named) for axis, power in factors.items() if power < 0.0]
    if not above or not math.isclose(constant, 1.0, rel_tol=1e-4):
        above.insert(0, number(constant))
    return " / ".join([" x ".join(above), *below])


def _merged(factors: Mapping[str, float], sizes: Mapping[str, int]) -> tuple[dict[str, float], dict[str, int]]:
    """Return powers and sizes in which the axes of an image are one factor, if their powers are equal."""
    image = {"height", "width", "channels"}
    if not image <= set(sizes) or len({factors.get(axis) for axis in image if sizes[axis] > 1}) != 1:
        return dict(factors), dict(sizes)
    name = "pixels" if sizes["channels"] == 1 else "pixels and channels"
    merged = {axis: power for axis, power in factors.items() if axis not in image}
    if power := factors.get("height"):
        merged[name] = power
    return merged, {**sizes, name: math.prod(sizes[axis] for axis in image)}


def _factor(axis: str, size: int, power: float, named: bool) -> str:
    text = str(size) if power == 1.0 else f"{size}^{number(power)}"
    return f"{text} {axis}" if named else text
