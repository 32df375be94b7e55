"""The list of options in `--help`, made from the classes that have them."""

import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
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
        if group.many:
            continue
        listed: set[str] = set()
        for choice, target in _choices(name, group).items():
            title = f"{name}={choice}" if group.target is None else name
            lines += ["", f"{title}: {summary_of(target)}" if target else title]
            shown_options = {
                key: option for key, option in group.options(target).items() if _is_shown(group, key, target)
            }
            lines += _lines(f"{name}.", {key: option for key, option in shown_options.items() if key not in listed})
            if repeated := [f"{name}.{key}" for key in shown_options if key in listed]:
                lines.append(f"  also {', '.join(repeated)}")
            listed |= {*shown_options}
    return "\n".join(lines)


def _is_shown(group: Group, name: str, target: str | None) -> bool:
    return name in group.own or not (target or "").startswith("keras.")


def _choices(name: str, group: Group) -> dict[str, str | None]:
    """Return the class of each option of a group, by the option's name, for options that name one."""
    if group.target is not None:
        return {"default": group.target}
    found: dict[str, str | None] = {}
    for path in sorted((CONFIGS / name).glob("*.yaml")):
        node = OmegaConf.load(path)
        target = OmegaConf.select(node, "_target_")
        if target not in found.values() and (target or group.own):
            found[path.stem] = target
    return found


def _lines(prefix: str, options: Mapping[str, Option]) -> Iterator[str]:
    for option in options.values():
        name = f"  {prefix}{option.name}={_type(option.kind)}"
        default = "" if option.default in (REQUIRED, None) else f" (default {shown(option.default)})"
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
