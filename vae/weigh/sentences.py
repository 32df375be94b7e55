"""Sentences about the terms of a loss."""

import math
from collections.abc import Mapping, Sequence

from vae.weigh.part import Part
from vae.weigh.reduction import Reduction, Sizes


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
    for axis in powers:
        if axis not in own and powers[axis]:
            kinds.setdefault(_other_kind(powers[axis]), []).append(axis)
    return ", ".join(f"{kind} {_listed(axes)}" for kind, axes in kinds.items())


def _own_kind(axis: str, power: float | None) -> str:
    if power is None:
        return "measured only at this size of"
    shifted = power - 1.0 if axis == "batch" else power
    return {0.0: "sum over", -1.0: "mean over"}.get(shifted, f"growing by the power {number(shifted)} of")


def _other_kind(power: float | None) -> str:
    return {1.0: "multiplied by", -1.0: "divided by"}.get(
        power or 0.0, f"multiplied by the power {number(power or 0.0)} of"
    )


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
    """Return a constant times powers of sizes as a formula; the sizes of an image with equal powers are one factor."""
    factors = {axis: power for axis, power in powers.items() if power}
    image = {"height", "width", "channels"}
    merged = dict(sizes)
    if image <= set(sizes) and len({factors.get(axis) for axis in image if sizes[axis] > 1}) == 1:
        power = factors.get("height")
        for axis in image:
            factors.pop(axis, None)
        if power:
            name = "pixels" if sizes["channels"] == 1 else "pixels and channels"
            factors[name], merged[name] = power, math.prod(sizes[axis] for axis in image)
    words = {
        sign: [_factor(axis, merged[axis], abs(power), named) for axis, power in factors.items() if power * sign > 0]
        for sign in (1, -1)
    }
    above = words[1]
    if not above or abs(abs(constant) - 1.0) > 1e-4:
        above = [number(constant), *above]
    elif constant < 0:
        above = [f"-{above[0]}", *above[1:]]
    return " / ".join([" x ".join(above), *words[-1]])


def _factor(axis: str, size: int, power: float, named: bool) -> str:
    text = str(size) if power == 1.0 else f"{size}^{number(power)}"
    return f"{text} {axis}" if named else text


def notes(reconstruction: Part | None, kl: Part) -> list[str]:
    """Return the sentences about the terms of a loss that its table does not say."""
    found = [f"{part.name}: {part.problem}" for part in (reconstruction, kl) if part and part.problem]
    if kl.reduction:
        found += _kl_notes(kl.reduction, reconstruction.reduction if reconstruction else None)
    if reconstruction and reconstruction.reduction:
        found += _reconstruction_notes(reconstruction.reduction)
    return found


def _kl_notes(kl: Reduction, reconstruction: Reduction | None) -> list[str]:
    found = []
    if kl.weight < 0.0:
        found.append("the sign of the KL is reversed: training is rewarded for leaving the prior")
    averaged = [axis for axis, power in kl.powers.items() if "latent" in axis and power == -1.0]
    if averaged:
        size = math.prod(kl.sizes[axis] for axis in averaged)
        found.append(f"the KL is averaged over {size} latent variables; the ELBO sums over them")
    batch = kl.powers.get("batch")
    other = reconstruction.powers.get("batch") if reconstruction else None
    if batch is not None and other is not None and batch != other:
        found.append(
            f"the KL is {_batch(batch)} and the reconstruction {_batch(other)}: the effective beta changes with the "
            "batch size"
        )
    factor = abs(kl.constant)
    if math.isclose(factor, 2.0, rel_tol=1e-3):
        found.append("the KL is twice the exact one: is the factor 1/2 left out?")
    elif math.isclose(factor, 1.0 / math.log(2.0), rel_tol=1e-3):
        found.append("the KL is 1/ln 2 times the exact one: is it in bits instead of nats?")
    return found


def _batch(power: float) -> str:
    return {0.0: "averaged over the batch", 1.0: "summed over the batch", -1.0: "averaged over the batch twice"}.get(
        power, f"proportional to batch^{number(power)}"
    )


def _reconstruction_notes(reduction: Reduction) -> list[str]:
    averaged = [
        axis for axis, power in reduction.powers.items() if axis != "batch" and "latent" not in axis and power == -1.0
    ]
    size = math.prod(reduction.sizes[axis] for axis in averaged)
    if size == 1:
        return []
    return [f"the reconstruction is averaged over {', '.join(averaged)} ({size}); -log p(x|z) is the sum"]


def logits_words(reconstruction: Part, name: str) -> list[str]:
    """Return a sentence if a parameter is called logits and not taken for them, or nothing."""
    likelihood = reconstruction.likelihood
    if "logit" not in name.lower() or likelihood is None or likelihood.accepts == "logits":
        return []
    return [f"{name} is taken for {likelihood.accepts}, not for logits: is a sigmoid, or from_logits=True, left out?"]


def constant_words(constant: float, terms: float, kl: Part) -> list[str]:
    """Return a sentence on what a loss has beside its terms, or nothing.

    Args:
        constant: the loss minus its terms.
        terms: the sum of the weighted terms.
        kl: the KL term.
    """
    assert kl.reduction is not None
    latents = math.prod(size for axis, size in kl.reduction.sizes.items() if "latent" in axis)
    missing = 0.5 * latents * kl.weight
    if math.isclose(constant, missing, rel_tol=0.01):
        return ["the -1 of mu^2 + exp(log_var) - 1 - log_var is left out, which changes the value and no gradient"]
    if abs(constant) <= 1e-3 * abs(terms):
        return []
    return [f"beside its two terms it has a constant, {number(constant)}, which changes the value and no gradient"]


def remedy(reconstruction: Part | None, kl: Part) -> str:
    """Return by what to multiply the terms of a loss to make it canonical, in words."""
    parts = [part for part in (reconstruction, kl) if part]
    if any(part.problem for part in parts):
        return "no factor does it: replace the term that has no weight above by that of the line below"
    factors = {part.name: 1.0 / part.weight for part in parts if not math.isclose(part.weight, 1.0, rel_tol=1e-3)}
    if not factors:
        return "nothing to change: it is the canonical loss"
    return "multiply " + " and ".join(f"the {name} by {number(factor)}" for name, factor in factors.items())
