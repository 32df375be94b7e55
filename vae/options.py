"""Types of options, and the check of a value against its type. Needs no TensorFlow.

A class states what it takes once, in the annotations and defaults of its constructor, and describes it in the `Args`
section of its docstring. The constructor checks its arguments against them (`vae.saving.Configurable`); so does the
configuration, before TensorFlow is loaded (`vae.config.signatures`); `--help` and the reference print them.
"""

import contextlib
import functools
import inspect
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import ConfigDict, TypeAdapter, ValidationError

from vae.errors import UserError

__all__ = [
    "AtLeastTwo",
    "Count",
    "Duration",
    "Fraction",
    "GreyLevels",
    "NonNegativeFloat",
    "PositiveFloat",
    "PositiveInt",
    "Samples",
    "Seed",
    "Shape",
    "Threads",
    "Unit",
    "Units",
    "Width",
    "check_option",
    "checked",
    "shown",
]

_LARGEST_FLOAT = 2**128 - 2**104  # of float32, in which everything is computed
_LARGEST_INT = 2**31 - 1  # of int32, in which TensorFlow keeps shapes

NonNegativeFloat = Annotated[float, Ge(0), Le(_LARGEST_FLOAT)]
PositiveFloat = Annotated[float, Gt(0), Le(_LARGEST_FLOAT)]
PositiveInt = Annotated[int, Gt(0), Le(_LARGEST_INT)]
Duration = Annotated[float, Gt(0), Le(_LARGEST_INT)]
#: Numbers of things of which every example of a batch has one: more would not fit into memory, or take an hour
Count = Annotated[int, Gt(0), Le(100_000)]
Samples = Annotated[int, Gt(0), Le(1000)]
AtLeastTwo = Annotated[int, Ge(2), Le(100_000)]
Threads = Annotated[int, Gt(0), Le(4096)]
Fraction = Annotated[float, Gt(0), Le(1)]
GreyLevels = Annotated[int, Ge(2), Le(256)]
Seed = Annotated[int, Ge(0), Lt(2**31)]
Side = Annotated[int, Gt(0), Le(65_535)]
Shape = Annotated[list[Side] | tuple[Side, ...], Len(3, 3)]
Unit = Literal["epochs", "steps"]
Width = Annotated[int, Gt(0), Le(1_000_000)]
Units = Annotated[list[Width] | tuple[Width, ...], Len(1)]

_CONFIG = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def check_option(name: str, kind: Any, value: Any) -> Any:
    """Check the value of an option against its type, and return it: a whole number as a float if one is wanted.

    Args:
        name: what the user calls the option, such as "kl.points".
        kind: the type: an annotation such as `PositiveInt | None`, or `typing.Any`.
        value: the value.

    Raises:
        UserError: if the value is not of that type. The message names the option, the value and what is expected.
    """
    try:
        # In a tuple, because pydantic takes no configuration for a dataclass by itself
        return TypeAdapter(tuple[kind], config=_CONFIG).validate_python((value,))[0]
    except ValidationError as error:
        raise UserError(f"{name}={shown(value)}: {_expected(error)}") from None


def checked(constructor: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that checks its arguments against its annotations before it runs.

    Args:
        constructor: the `__init__` of a class.
    """
    signature = inspect.signature(constructor)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    single = {name for name, parameter in signature.parameters.items() if parameter.kind not in variadic}

    @functools.wraps(constructor)
    def check_and_construct(self: Any, *args: Any, **kwargs: Any) -> None:
        kinds = _type_hints(constructor)
        for name, value in signature.bind(self, *args, **kwargs).arguments.items():
            if name in kinds and name in single:
                check_option(name, kinds[name], value)
        constructor(self, *args, **kwargs)

    check_and_construct.__signature__ = signature  # type: ignore[attr-defined]  # Keras's layers do not unwrap
    return check_and_construct


def _type_hints(constructor: Callable[..., None]) -> dict[str, Any]:
    try:
        return get_type_hints(constructor, include_extras=True)
    except NameError:  # a user's annotation may name something that only a type checker imports
        return {}


def shown(value: Any) -> str:
    """Return a value as a user writes it on the command line: `null`, `true`, `[200,0]`, `wide`."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(value)  # JSON has no name for nan and inf
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError):
        with contextlib.suppress(ValueError):
            return str(value)
        return "(a number of thousands of digits)"  # more than Python converts


def _expected(error: ValidationError) -> str:
    """Return what would be right, from the errors of every alternative of a union."""
    wanted: dict[str, None] = {}
    for item in error.errors(include_url=False, include_context=False):
        places = [part + 1 for part in item["loc"][1:] if isinstance(part, int)]
        words = re.sub(r"^(Input|Value|Value error,|List|Tuple) | after validation, not \d+$", "", item["msg"])
        wanted[f"item {places[0]} {words}" if places else words] = None
    if len(wanted) > 1:
        wanted.pop("should be a valid tuple", None)  # YAML has lists only
    first, *others = wanted
    return " or ".join([first, *(words.removeprefix("should be ") for words in others)])
