"""The list of options in `--help`, made from the classes that have them."""

import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf

from vae.cli.config_source import CONFIGS
from vae.config.groups import DATA_OF_EVALUATE, EVALUATE, GROUPS, TRAIN, Group
from vae.config.signatures import REQUIRED, Option, summary_of
from vae.options import shown

_NAME_WIDTH = 46
_WIDTH = 118


def register() -> None:
    """Let the help of a script refer to its options by `${options_of:train}`."""
    OmegaConf.register_new_resolver("options_of", lambda script: options_help(script), replace=True)


def options_help(script: str) -> str:
    """Return every option of a script with its type, its default and its description.

    Args:
        script: "train" or "evaluate".
    """
    if script == "evaluate":
        data = {
            name: Option(name, str | None, None, "of a data set that has moved; null for the run's own")
            for name in DATA_OF_EVALUATE
        }
        return "\n".join([*_lines("", EVALUATE), *_lines("data.", data)])
    lines = [*_lines("", TRAIN)]
    for name, group in GROUPS.items():
        listed: dict[str, Any] = {}
        for title, target, values in _choices(name, group) if not group.many else ():
            lines += ["", f"{title}: {summary_of(target)}" if target else title]
            options = _shown_options(group, target, values)
            repeated = [key for key, option in options.items() if listed.get(key) == option.kind]
            lines += _lines(f"{name}.", {key: option for key, option in options.items() if key not in repeated})
            if repeated:
                words = ", ".join(f"{name}.{key}" for key in repeated)
                lines += textwrap.wrap(f"also {words}", _WIDTH, initial_indent="  ", subsequent_indent="  ")
            listed |= {key: option.kind for key, option in options.items()}
    return "\n".join(lines)


def _shown_options(group: Group, target: str | None, values: Mapping[str, Any]) -> dict[str, Option]:
    """Return the options of a class, with the defaults that a file gives in place of the class's own."""
    options = group.shown_options(target)
    return {name: replace(option, default=values.get(name, option.default)) for name, option in options.items()}


def _choices(name: str, group: Group) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
    """Yield a title, the class and the values of every option of a group, each class once."""
    found: set[str | None] = set()
    for argument in sys.argv[1:]:  # a user's class, such as `kl=my_module.MyKL`
        if argument.startswith(f"{name}=") and "." in argument:
            yield argument, argument.partition("=")[2], {}
    for path in sorted((Path(CONFIGS) / name).glob("*.yaml")):
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
        target = values.get("_target_", group.target)
        if target not in found and (target or group.own):
            found.add(target)
            yield f"{name}={path.stem}" if group.target is None else name, target, values


def _lines(prefix: str, options: Mapping[str, Option]) -> Iterator[str]:
    for option in options.values():
        name = f"  {prefix}{option.name}={_type(option.kind)}"
        default = "" if option.default in (REQUIRED, None, "???") else f" (default {shown(option.default)})"
        words = _wrapped(f"{option.description}{default}".strip())
        first = f"{name:{_NAME_WIDTH}}  " if len(name) <= _NAME_WIDTH else f"{name}\n{'':{_NAME_WIDTH}}  "
        yield first + f"\n{'':{_NAME_WIDTH}}  ".join(words)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text.replace("$", ""), _WIDTH - _NAME_WIDTH) or [""]


def _type(kind: Any) -> str:
    """Return a type as the values that a user may give."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return _type(typing.get_args(kind)[0])
    if origin in (types.UnionType, typing.Union):
        return "|".join(dict.fromkeys(_type(part) for part in typing.get_args(kind)))
    if origin is Literal:
        return "|".join(map(str, typing.get_args(kind)))
    if origin in (list, tuple):
        return f"[{_type(typing.get_args(kind)[0])},...]"
    names = {int: "N", float: "NUMBER", str: "TEXT", bool: "true|false", type(None): "null"}
    return names.get(kind, "VALUE")
