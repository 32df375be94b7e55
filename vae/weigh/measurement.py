"""The measurement of a loss: its two terms, what each is a multiple of, and how that depends on the sizes."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

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
from vae.weigh.sentences import constant_notes, notes

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
        UserError: if the loss cannot be called, or calls with the same arguments differ.
    """
    called = parameters_of(loss, parameters, order, constants)
    preferred = _imports(loss) if imports is None else imports

    def report(shapes: Sequence[tuple[int, ...]] | None) -> Report:
        return _report(*find_call(loss, called, preferred, shapes, tuple(latents), batch, output))

    with frameworks.double_precision():
        found = report(None if shape is None else [tuple(shape)])
        if shape is not None or not _is_uneven(found):
            return found
        found = report([(math.prod(found.sizes.shape),)])
    note = "images are taken as flat, because the loss treats height and width differently; --shape says otherwise"
    return replace(found, notes=(*found.notes, note))


def _imports(loss: Callable[..., Any]) -> set[str]:
    """Return the modules to which the loss's own module refers."""
    values = vars(sys.modules[loss.__module__]).values() if loss.__module__ in sys.modules else ()
    names = (each.__name__ if isinstance(each, ModuleType) else getattr(each, "__module__", None) for each in values)
    return {str(name).partition(".")[0] for name in names}


def _is_uneven(report: Report) -> bool:
    reduction = report.reconstruction.reduction if report.reconstruction else None
    return bool(reduction and reduction.powers.get("height") != reduction.powers.get("width"))


def _report(call: Call, point: Point) -> Report:
    """Return the report on a loss at the sizes of a point."""
    _check_repeatable(call, point)
    loss = Differences(call, call.precision(point))
    parts, told = _parts(call, loss, point), []
    if parts[0].name == "reconstruction" and parts[0].weight < 0.0:
        told.append("it grows as the reconstruction improves, as an ELBO does: minus it was measured")
        loss = Differences(lambda at: -call(at), loss.precision)
        parts = _parts(call, loss, point)
    sizes = _sizes(call, point)
    parts = _with_reductions(loss, parts, sizes)
    told += notes(parts)
    if not any(part.problem for part in parts):
        terms = sum(part.weight * canonical(part.formula, part.fields[0])(point) for part in parts)
        told += constant_notes(loss.loss(point) - terms, terms, parts[-1])
    told += _notes_on_the_call(call, point, parts)
    if loss.precision > DOUBLE:
        told.append("something in it computes in float32, so that only three digits are certain")
    likelihood = parts[0].likelihood
    line = canonical_loss(call.framework.name, likelihood, call.parameters.names, call.parameters.spread)
    return Report(call.words(point), sizes, parts, tuple(told), line)


def _check_repeatable(call: Call, point: Point) -> None:
    values = [call(point) for _ in range(4)]
    rounding = 1e-12 if call.value(point)[0].dtype.itemsize == 8 else 1e-6  # threads may add in another order
    if max(values) - min(values) > rounding * max(map(abs, values)):
        raise UserError(
            f"calls with the same arguments return {values[0]:.8g} and {values[1]:.8g}: it draws random numbers, as "
            "for a sample or dropout; give it what it draws as an argument"
        )


def _parts(call: Call, loss: Differences, point: Point) -> tuple[Part, ...]:
    """Return the KL, after the reconstruction if the loss has one."""
    kl = kl_part(loss, point, call.parameters.spread)
    return (reconstruction_part(loss, point), kl) if "reconstruction" in call.parameters.names else (kl,)


def _sizes(call: Call, point: Point) -> Sizes:
    shape = point.images.shape[1:]
    channels_first = call.framework.channels_first if shape[0] == shape[-1] else shape[0] < shape[-1]
    return Sizes(len(point.mu), shape, point.mu.shape[1:], channels_first)


def _with_reductions(loss: Differences, parts: Sequence[Part], sizes: Sizes) -> tuple[Part, ...]:
    """Return the parts with the reductions of those that a weight describes."""
    described = [part for part in parts if not part.problem]

    def weights(at: Sizes) -> dict[str, float]:
        point = Point.drawn(at.batch, at.shape, at.latents)
        fits = {part.name: loss.at(point, part.fields, FEW).fit(part.formula) for part in described}
        return {name: found.weight for name, found in fits.items() if found.is_exact}

    reductions = measure(weights, sizes)
    return tuple(replace(part, reduction=reductions.get(part.name)) for part in parts)


def _notes_on_the_call(call: Call, point: Point, parts: Sequence[Part]) -> list[str]:
    """Return sentences on parameters and outputs that may not be what they are taken for."""
    found = []
    likelihood, name = parts[0].likelihood, call.parameters.names.get("reconstruction", "")
    if likelihood and likelihood.accepts != "logits" and "logit" in name.lower():
        taken = f"{name} is taken for {likelihood.accepts}, not for logits"
        found.append(f"{taken}: is a sigmoid, or from_logits=True, left out?")
    if call.output is None and call.returns_several(point) and any(part.weight == 0.0 for part in parts):
        found.append("it returns several values: --output=NAME measures another of them, --output=sum their sum")
    return found
