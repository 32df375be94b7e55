"""Sentences about the terms of a loss: probable mistakes, and by what to multiply."""

import math
from collections.abc import Sequence

from vae.weigh.part import Part
from vae.weigh.reduction import Reduction
from vae.weigh.reduction_words import number


def notes(parts: Sequence[Part]) -> list[str]:
    """Return a sentence for every problem of a term, and for every reduction that is not canonical.

    Args:
        parts: the reconstruction, if the loss takes one, and the KL.
    """
    found = [f"{part.name}: {part.problem}" for part in parts if part.problem]
    reductions = {part.name: part.reduction for part in parts if part.reduction}
    if "KL" in reductions:
        found += _kl_notes(reductions["KL"], is_alone=len(parts) == 1)
    if "reconstruction" in reductions:
        found += _reconstruction_notes(reductions["reconstruction"])
    if len(reductions) == 2:
        found += _batch_notes(reductions["KL"], reductions["reconstruction"])
    return found


def _kl_notes(kl: Reduction, is_alone: bool) -> list[str]:
    found = []
    if kl.weight < 0.0:
        reward = ", unless it is meant to be subtracted" if is_alone else ": training is rewarded for leaving the prior"
        found.append(f"the sign of the KL is reversed{reward}")
    averaged = [axis for axis, power in kl.powers.items() if "latent" in axis and power == -1.0]
    if averaged:
        size = math.prod(kl.sizes[axis] for axis in averaged)
        found.append(f"the KL is averaged over {size} latent variables; the ELBO sums over them")
    factor = abs(kl.constant)
    if math.isclose(factor, 2.0, rel_tol=1e-3):
        found.append("the KL is twice the exact one: is the factor 1/2 left out?")
    elif math.isclose(factor, 1.0 / math.log(2.0), rel_tol=1e-3):
        found.append("the KL is 1/ln 2 times the exact one: is it in bits instead of nats?")
    return found


def _reconstruction_notes(reduction: Reduction) -> list[str]:
    averaged = [
        axis for axis, power in reduction.powers.items() if axis != "batch" and "latent" not in axis and power == -1.0
    ]
    size = math.prod(reduction.sizes[axis] for axis in averaged)
    if size == 1:
        return []
    return [f"the reconstruction is averaged over {', '.join(averaged)} ({size}); -log p(x|z) is the sum"]


def _batch_notes(kl: Reduction, reconstruction: Reduction) -> list[str]:
    first, second = kl.powers["batch"], reconstruction.powers["batch"]
    if first is None or second is None or first == second:
        return []
    return [
        f"the KL is {_batch(first)} and the reconstruction {_batch(second)}: the effective beta changes with the batch "
        "size"
    ]


def _batch(power: float) -> str:
    words = {0.0: "averaged over the batch", 1.0: "summed over the batch", -1.0: "averaged over the batch twice"}
    return words.get(power, f"proportional to batch^{number(power)}")


def constant_notes(constant: float, terms: float, kl: Part) -> list[str]:
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


def remedy(parts: Sequence[Part]) -> str:
    """Return by what to multiply the terms of a loss to make it canonical, in words."""
    if any(part.problem for part in parts):
        return "no factor does it: replace each term that has no weight above by that of the line below"
    factors = {part.name: 1.0 / part.weight for part in parts if not math.isclose(part.weight, 1.0, rel_tol=1e-3)}
    if not factors:
        return "nothing to change: it is the canonical loss"
    return "multiply " + " and ".join(f"the {name} by {number(factor)}" for name, factor in factors.items())
