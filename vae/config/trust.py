"""The names that a run's own folder may use only with the user's word, `trust=my_module`.

A run's folder may come from a stranger. The configuration in it names classes, which are imported and called;
OmegaConf's resolvers, such as `${oc.env:NAME}`, which read what is the user's; and a data set, whose name may lead to
code on the network. Without a word it may name classes of this project and of Keras, each where it belongs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from vae.compat import FOLLOWING_CALLBACKS
from vae.config.groups import GROUPS
from vae.config.parts import texts
from vae.config.signatures import is_subclass
from vae.errors import UserError

#: Modules whose classes a run's own folder may name, if they are of the kind that their place asks for
OURS = ("vae", "keras")
#: The kind of a class that stands in another's arguments, such as a schedule in place of a learning rate
_NESTED = "keras.optimizers.schedules.LearningRateSchedule"
_CALLBACKS = {f"keras.callbacks.{name}" for name in FOLLOWING_CALLBACKS}
#: Interpolations of other options, and resolvers that read nothing but their arguments and the clock
_HARMLESS = re.compile(r"\$\{(?:[\w.\[\]]+\}|(?:quotient|now):)")
_RESOLVER = re.compile(r"\$\{\s*(?P<name>[^:}]*)")
_NAMESPACE = re.compile(r"(?P<name>\w+):(?!\d)")  # what follows the name of a data set of TFDS itself is its version


def named_classes(
    config: Mapping[str, Any] | DictConfig, within: str | None = None
) -> Iterator[tuple[str, str, str | None]]:
    """Yield every class that a configuration names: its option, the class and the base that it must have.

    Args:
        config: the configuration, interpolations resolved.
        within: what its only node is called, such as "audit.histogram", if it is a part of a group.
    """
    for key, node in config.items():
        name = str(key)
        group = GROUPS.get(name)
        if group and group.many and within is None:
            nodes = {f"{name}.{part}": value for part, value in node.items()} if _is_mapping(node) else {}
        else:
            nodes = {within or name: node}
        for option, each in nodes.items():
            yield from _classes_in(option, each, group.base if group else None)


def foreign_names(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the classes and the data set that a run's folder may not name, each with the word that allows it.

    Args:
        values: a configuration in plain containers, interpolations resolved.

    Raises:
        UserError: if a class of this project or of Keras does not exist, or is not of the kind that its place asks for;
            or if a callback is this project's own.
    """
    words = {target: _word_for(option, target, base or _NESTED) for option, target, base in named_classes(values)}
    data = values.get("data")
    if isinstance(data, Mapping) and (namespace := _NAMESPACE.match(str(data.get("name")))):
        words[str(data["name"])] = namespace["name"]
    return {name: word for name, word in words.items() if word}


def foreign_resolvers(written: Any) -> dict[str, str]:
    """Return the resolvers that a run's folder may not use, each with the word that allows it.

    Args:
        written: a configuration in plain containers, interpolations as they were written.
    """
    found = (match for text in texts(written) for match in _RESOLVER.finditer(text))
    names = {match["name"].strip() for match in found if not _HARMLESS.match(match.string, match.start())}
    return {f"${{{name}:}}": name.partition(".")[0] for name in names}


def _word_for(option: str, target: str, base: str) -> str | None:
    module = target.partition(".")[0]
    if module not in OURS:
        return module
    if not is_subclass(target, base):
        raise UserError(f"{option}._target_={target}: must be a subclass of {base}")
    if base != GROUPS["callbacks"].base:
        return None
    refuse_own_callback(option, target)
    return None if target in _CALLBACKS else module


def refuse_own_callback(option: str, target: str) -> None:
    """Refuse a callback of this project, which no option can give what it needs.

    Args:
        option: the option that names it, such as "callbacks.x".
        target: the class.

    Raises:
        UserError: if it is one.
    """
    if target.startswith("vae."):
        raise UserError(
            f"{option}._target_={target}: every run has this project's own callbacks already; name one of Keras or of "
            "your own"
        )


def _classes_in(option: str, node: Any, base: str | None) -> Iterator[tuple[str, str, str | None]]:
    if _is_mapping(node):
        if "_target_" in node:
            yield option, str(node["_target_"]), base
        for key, value in node.items():
            yield from _classes_in(f"{option}.{key}", value, None)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from _classes_in(option, value, None)


def _is_mapping(node: Any) -> bool:
    return isinstance(node, Mapping | DictConfig)
