"""The measurement of a loss: its two terms, what each is a multiple of, and how that depends on the sizes."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from vae.errors import UserError
from vae.weigh import frameworks
from vae.weigh.call import Call, find_call
from vae.weigh.canonical import canonical_loss
from vae.weigh.divergence import kl_part
from vae.weigh.fitting import DOUBLE, Differences
from vae.weigh.parameters import parameters_of
from vae.weigh.part import Part
from vae.weigh.point import Point, canonical
from vae.weigh.reconstruction import reconstruction_part
from vae.weigh.reduction import Sizes, measure
from vae.weigh.report import Report
from vae.weigh.sentences import constant_words, logits_words, notes

FEW = 2  # directions along which arguments of another size are moved
BATCH, LATENTS = 6, (16,)


def weigh(
    loss: Callable[..., Any],
    *,
    parameters: Mapping[str, str] | None = None,
    order: Sequence[str] = (),
    constants: Mapping[str, Any] | None = None,
    shape: Sequence[int] | None = None,
    latents: Sequence[int] = LATENTS,
    batch: int = BATCH,
    output: str | None = None,
    imports: set[str] | None = None,
) -> Report:
    """Return what a loss weighs, by differences of its values in float64.

    The loss is called some hundred times with arrays drawn here, as the tensors of its framework.

    Args:
        loss: a function of the images, their reconstruction, and the mean and the width of the posterior; without the
            first two, of the posterior alone.
        parameters: the names of its parameters by role ("images", "reconstruction", "mu", and one of "log_var", "var",
            "log_std", "std") where they are not recognised.
        order: the roles in the order of its arguments, for a function that takes `*args`.
        constants: values of its further parameters.
        shape: of an image as the loss takes it; None for 28 x 28 x 1 in the order of the framework, or else 784.
        latents: of the posterior's parameters, without the batch.
        batch: the number of examples.
        output: which of several returned values is the loss, by name or index; "sum" for all. None for the one named
            loss or total, or else the first.
        imports: the modules by which the framework is chosen; None for those of the loss's own module.

    Raises:
        UserError: if the loss cannot be called, or two calls with the same arguments differ.
    """
    call_parameters = parameters_of(loss, parameters, order, constants)
    preferred = imports if imports is not None else _imports(loss)
    with frameworks.double_precision():
        shapes = None if shape is None else [tuple(shape)]
        call, point = find_call(loss, call_parameters, preferred, shapes, tuple(latents), batch, output)
        report = _measured(call, point)
        if shape is None and _is_uneven(report):
            flat = [(math.prod(point.images.shape[1:]),)]
            call, point = find_call(loss, call_parameters, preferred, flat, tuple(latents), batch, output)
            note = (
                "images are taken as flat, because the loss treats height and width differently; --shape says otherwise"
            )
            report = _measured(call, point)
            report = replace(report, notes=(*report.notes, note))
    return report


def _imports(loss: Callable[..., Any]) -> set[str]:
    """Return the modules to which the loss's own module refers."""
    values = vars(sys.modules[loss.__module__]).values() if loss.__module__ in sys.modules else ()
    names = [
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None) for value in values
    ]
    return {str(name).partition(".")[0] for name in names}


def _is_uneven(report: Report) -> bool:
    reduction = report.reconstruction.reduction if report.reconstruction else None
    return bool(reduction and reduction.powers.get("height") != reduction.powers.get("width"))


def _measured(call: Call, point: Point) -> Report:
    """Return the report on a loss at the sizes of a point."""
    precision = call.precision(point)
    _check_repeatable(call, point, precision)
    loss, parts, grows = Differences(call, precision), [], False
    if "reconstruction" in call.parameters.names:
        parts.append(reconstruction_part(loss, point))
        grows = not parts[0].problem and parts[0].weight < 0.0
        if grows:
            loss = Differences(lambda at: -call(at), precision)
            parts = [reconstruction_part(loss, point)]
    parts.append(kl_part(loss, point, call.parameters.spread))
    shape = point.images.shape[1:]
    channels_first = call.framework.channels_first if shape[0] == shape[-1] else shape[0] < shape[-1]
    sizes = Sizes(len(point.mu), shape, point.mu.shape[1:], channels_first)
    parts = _with_reductions(loss, parts, sizes)
    *before, kl = parts
    reconstruction = before[0] if before else None
    told = notes(reconstruction, kl)
    if grows:
        told.insert(0, "it grows as the reconstruction improves, as an ELBO does: minus it was measured")
    if not any(part.problem for part in parts):
        terms = sum(part.weight * canonical(part.formula, part.fields[0])(point) for part in parts)
        told += constant_words(loss.loss(point) - terms, terms, kl)
    if reconstruction:
        told += logits_words(reconstruction, call.parameters.names["reconstruction"])
    if (
        call.output is None
        and any(part.fit.weight == 0.0 for part in parts)
        and call.value(point)[1].startswith("output")
    ):
        told.append("it returns several values: --output=NAME measures another of them, --output=sum their sum")
    if precision > DOUBLE:
        told.append("something in it computes in float32, so that only three digits are certain")
    return Report(call.words(point), sizes, reconstruction, kl, tuple(told), _canonical(call, reconstruction))


def _check_repeatable(call: Call, point: Point, precision: float) -> None:
    first, second = call(point), call(point)
    if abs(first - second) > 100.0 * precision * abs(first):
        raise UserError(
            f"two calls with the same arguments return {first:.6g} and {second:.6g}: it draws random numbers, as for a "
            "sample or dropout; give it what it draws as an argument"
        )


def _with_reductions(loss: Differences, parts: Sequence[Part], sizes: Sizes) -> list[Part]:
    """Return the parts with the reductions of those that a weight describes."""
    described = [part for part in parts if not part.problem]

    def weights(at: Sizes) -> dict[str, float]:
        point = at.point()
        fits = {part.name: loss.at(point, part.fields, FEW).fit(part.formula) for part in described}
        return {name: found.weight for name, found in fits.items() if found.is_exact}

    reductions = measure(weights, sizes)
    return [replace(part, reduction=reductions.get(part.name)) for part in parts]


def _canonical(call: Call, reconstruction: Part | None) -> str:
    likelihood = reconstruction.likelihood if reconstruction else None
    return canonical_loss(call.framework.name, likelihood, call.parameters.names, call.parameters.spread)
