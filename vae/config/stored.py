"""The configuration that a run left in its directory, and which classes may be loaded from it."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from vae.config.groups import GROUPS
from vae.errors import UserError
from vae.runs.identity import MOVED_CLASSES
from vae.runs.paths import RunDirectory

#: Modules whose classes a run's own folder may name
OURS = ("vae", "keras")


def stored_config(directory: str | Path, option: str, trusted: Collection[str] = ()) -> DictConfig:
    """Return the configuration that a run was trained with, completed by defaults that came later.

    Args:
        directory: the run's directory.
        option: the option that named it, for messages.
        trusted: modules besides this project's and Keras's whose classes the user allows it to name.

    Raises:
        UserError: if the directory is not a run's, or its configuration names a class from another module.
    """
    path = Path(directory)
    if not path.is_dir():
        raise UserError(f"{option}={directory}: there is no such directory")
    try:
        config = OmegaConf.load(RunDirectory(path).config)
    except FileNotFoundError:
        raise UserError(f"{option}={directory}: not the directory of a run: it has no .hydra/config.yaml") from None
    except Exception as error:  # whatever a damaged file makes of the parser
        reason = str(error).splitlines()[0]
        raise UserError(f"{option}={directory}: its .hydra/config.yaml is damaged ({reason})") from None
    if not isinstance(config, DictConfig):
        raise UserError(f"{option}={directory}: its .hydra/config.yaml is damaged (it holds no options)")
    for node, target in _targets(config):
        node["_target_"] = MOVED_CLASSES.get(target, target)
    if unknown := foreign_modules(config) - {module.partition(".")[0] for module in trusted}:
        raise UserError(
            f"{option}={directory}: its configuration names classes of {', '.join(sorted(unknown))}, which are not "
            f"part of this project and could run any code; add trust={','.join(sorted(unknown))} if you trust them"
        )
    try:
        return _completed(config)
    except UserError as error:
        raise UserError(f"{option}={directory}: its configuration names {error}") from None


def foreign_modules(config: DictConfig) -> set[str]:
    """Return the top-level modules besides this project and Keras whose classes a configuration names."""
    return {target.partition(".")[0] for _, target in _targets(config)} - {*OURS}


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a configuration without Hydra's own node in plain containers, interpolations resolved.

    Raises:
        UserError: if a mandatory value is missing.
    """
    try:
        return {str(name): _plain(config[name]) for name in config if name != "hydra"}
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key}: must be given, as {error.full_key}=VALUE") from None


def _plain(node: Any) -> Any:
    is_container = OmegaConf.is_config(node)  # one in its place, where its interpolations find the rest
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if is_container else node


def trusted_modules(config: DictConfig) -> list[str]:
    """Return the modules that the option `trust` names."""
    trust = OmegaConf.select(config, "trust")
    return [] if trust is None else [trust] if isinstance(trust, str) else [str(module) for module in trust]


def _targets(node: Any) -> Iterator[tuple[DictConfig, str]]:
    """Yield every node that names a class, at any depth, and the class."""
    if OmegaConf.is_dict(node):
        if "_target_" in node:
            yield node, str(node["_target_"])
        children = [node._get_node(key) for key in node]
    elif OmegaConf.is_list(node):
        children = list(node)
    else:
        return
    for child in children:
        yield from _targets(child)


def _completed(config: DictConfig) -> DictConfig:
    for name, group in GROUPS.items():
        if isinstance(node := config.get(name), DictConfig) and not group.many:
            config[name] = OmegaConf.merge(group.defaults(node.get("_target_", group.target)), node)
    return config
