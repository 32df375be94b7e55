"""The object that one node of a configuration describes: its class is checked, imported and called."""

import re
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from vae.config.groups import GROUPS
from vae.config.signatures import options_of
from vae.config.stored import plain
from vae.config.trust import OURS, named_classes
from vae.errors import UserError, first_line
from vae.options import check_option, shown


def build(option: str, node: Mapping[str, Any] | DictConfig, **facts: int) -> Any:
    """Return the object that a node of the configuration describes.

    Args:
        option: what the node is called, such as "kl" or "audit.histogram".
        node: the class in `_target_`, and its arguments.
        **facts: arguments that are filled in if the class takes them and the node leaves them open.

    Raises:
        UserError: if there is no such class, it is not one of its group's, or it refuses its arguments.
    """
    values = plain(node) if isinstance(node, DictConfig) else dict(node)
    for place, target, base in named_classes({option.partition(".")[0]: values}, within=option):
        _class(place, target, base)
    try:
        return instantiate(_filled(_with_floats(option, values), facts), _convert_="all")
    except InstantiationException as error:
        raise UserError(_named(option, values, in_one_line(error.__cause__ or error))) from error


def import_classes(config: DictConfig) -> None:
    """Import every class that a configuration names, so that Keras can load a model that has them.

    Raises:
        UserError: if one cannot be imported.
    """
    for option, target, base in named_classes(config):
        _class(option, target, base)


def _class(option: str, target: str, base: str | None) -> type:
    """Import a class, check its base before anything of it is called, and register it with Keras."""
    import keras

    from vae.saving import register

    try:
        found: type = get_class(target)
    except Exception as error:  # a module of the user's may fail in any way
        raise UserError(f"{option}._target_={target}: {first_line(error)}") from error
    if base is not None and not issubclass(found, get_class(base)):
        raise UserError(f"{option}._target_={target}: must be a subclass of {base}")
    is_registered = keras.saving.get_registered_name(found) != found.__name__
    if target.partition(".")[0] not in OURS and hasattr(found, "get_config") and not is_registered:
        register(found)  # such as a user's optimizer, which no base class of this project has registered
    return found


def _with_floats(option: str, node: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a node in which an option that is a real number has no whole one, which Keras would refuse."""
    kinds = GROUPS[option.partition(".")[0]].options(node.get("_target_"))
    return {
        name: check_option(f"{option}.{name}", kinds[name].kind, value)
        if type(value) is int and name in kinds
        else value
        for name, value in node.items()
    }


def _filled(node: Any, facts: Mapping[str, int]) -> Any:
    if not isinstance(node, Mapping):
        return node
    filled = {name: _filled(value, facts) for name, value in node.items()}
    known = options_of(str(node["_target_"])) if "_target_" in node else {}
    return filled | {name: fact for name, fact in facts.items() if name in known and filled.get(name) is None}


def _named(option: str, values: Mapping[Any, Any], reason: str) -> str:
    """Return a message with the name of its option, which a constructor knows as `name=value` at best."""
    if reason.startswith(f"{option}."):
        return reason
    if quoted := [name for name in values if f"`{name}`" in reason]:  # as Keras does
        return f"{option}.{quoted[0]}={shown(values[quoted[0]])}: {reason}"
    return f"{option}.{reason}" if re.match(r"\w+=", reason) else f"{option}: {reason}"


def in_one_line(error: BaseException) -> str:
    """Return an error's message without its line breaks."""
    return " ".join(str(error).split())
