"""The check of a composed configuration against the schema of its classes. Needs no TensorFlow."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from vae.config.agreement import check_binarization, check_callbacks, check_weights
from vae.config.groups import DATA_OF_EVALUATE, EVALUATE, GROUPS, ONE_OPTION, TRAIN, Group
from vae.config.signatures import REQUIRED, Option, is_subclass
from vae.errors import UserError
from vae.options import check_option, shown

_OF_HYDRA = ("_target_", "_convert_", "_recursive_", "_partial_", "_args_")


def check_train(values: Mapping[str, Any], overrides: Iterable[str] = ()) -> None:
    """Check the composed configuration of `train.py`.

    Args:
        values: the configuration in plain containers.
        overrides: those of the command line from which it was composed.

    Raises:
        UserError: naming the first option that is wrong, and what would be right.
    """
    _check_single_options(overrides)
    _check_names("", values, [*TRAIN, *GROUPS])
    _check_presence("", values, TRAIN)
    _check_values("", {name: values[name] for name in TRAIN}, TRAIN)
    _check_presence("", values, GROUPS)
    for name, group in GROUPS.items():
        node = values[name]
        if not isinstance(node, Mapping):
            raise UserError(f"{name}={shown(node)}: {ONE_OPTION}")
        for option, each in [(f"{name}.{key}", item) for key, item in node.items()] if group.many else [(name, node)]:
            check_node(option, each, group)
    check_binarization(str(values["likelihood"]["_target_"]), values["data"].get("binarization", "none"))
    check_weights(values["data"].get("weights"), values["trainer"]["strategy"])
    check_callbacks(values["callbacks"], values["optimizer"])


def _check_single_options(overrides: Iterable[str]) -> None:
    """Refuse a list of a group's options, of which Hydra would take the last, with what it keeps of the others."""
    from hydra.core.override_parser.overrides_parser import OverridesParser  # which has read the command line already

    for override in OverridesParser.create().parse_overrides([*overrides]):
        group = GROUPS.get(override.key_or_group)
        if group and not group.many and isinstance(override.value(), list):
            raise UserError(f"{override.input_line}: {ONE_OPTION}")


def check_evaluate(values: Mapping[str, Any]) -> None:
    """Check the composed configuration of `evaluate.py`, as `check_train` does."""
    _check_names("", values, [*EVALUATE, "data"])
    _check_presence("", values, [*EVALUATE, "data"])
    _check_values("", {name: values[name] for name in EVALUATE}, EVALUATE)
    paths = {name: Option(name, str | None) for name in DATA_OF_EVALUATE}
    _check_names("data.", values["data"], paths)
    _check_presence("data.", values["data"], paths)
    _check_values("data.", values["data"], paths)


def check_node(option: str, node: Any, group: Group) -> None:
    """Check the options of one object against the class that builds it.

    Args:
        option: what the node is called, such as "kl" or "audit.histogram".
        node: its options in plain containers, with the class in `_target_`.
        group: the group that it belongs to.

    Raises:
        UserError: if the class is not one of the group's, an option is unknown, missing or of another type.
    """
    target = node.get("_target_", group.target) if isinstance(node, Mapping) else None
    if target is None and not group.own:
        raise UserError(f"{option}={shown(node)}: must name a class, as {option}._target_=package.Class")
    if target is not None:
        _check_class(option, str(target), group.base)
    options = group.options(target)
    given = {name: value for name, value in node.items() if name not in _OF_HYDRA}
    _check_names(f"{option}.", given, options)
    read = options if group.target else group.own  # by this project, without a class that would fill in a default
    needed = [name for name, known in options.items() if name in read or known.default is REQUIRED]
    _check_presence(f"{option}.", given, needed)
    _check_values(f"{option}.", given, options)


def _check_class(option: str, target: str, base: str) -> None:
    try:
        derives = is_subclass(target, base)
    except UserError as error:
        raise UserError(f"{option}._target_={error}") from None
    if not derives:
        raise UserError(f"{option}._target_={target}: must be a subclass of {base}")


def _check_names(prefix: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise UserError(f"{prefix}{name}: there is no such option; {hint}")


def _check_presence(prefix: str, given: Mapping[str, Any], needed: Iterable[str]) -> None:
    for name in needed:
        if name not in given:
            raise UserError(f"{prefix}{name}: must be given, as {prefix}{name}=VALUE")


def _check_values(prefix: str, given: Mapping[str, Any], known: Mapping[str, Option]) -> None:
    for name, value in given.items():
        if isinstance(value, Mapping) and "_target_" in value:  # such as a schedule in place of a learning rate
            check_node(f"{prefix}{name}", value, Group("keras.optimizers.schedules.LearningRateSchedule"))
        else:
            check_option(f"{prefix}{name}", known[name].kind, value)
