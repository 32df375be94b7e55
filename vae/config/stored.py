"""The configuration that a run left in its directory. It may come from a stranger (`vae.config.trust`)."""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vae.config.groups import GROUPS
from vae.config.parts import parts, texts
from vae.config.references import check_references
from vae.config.trust import foreign_names, foreign_resolvers
from vae.errors import UserError, first_line
from vae.named_paths import is_folder
from vae.runs.identity import MOVED_CLASSES, differing_options
from vae.runs.paths import RunDirectory
from vae.runs.untrusted import MOST_OPTIONS, check_files, parsed_yaml, read_yaml_text

_LONGEST_REFERENCE = 1000  # the most characters of a text with one: to parse it takes a time quadratic in them


def stored_config(directory: str | Path, option: str, trusted: Collection[str] = ()) -> DictConfig:
    """Return the configuration that a run was trained with, resolved, and completed by defaults that came later.

    Args:
        directory: the run's directory.
        option: the option that named it, for messages.
        trusted: modules besides this project's and Keras's whose classes the user allows it to name.

    Raises:
        UserError: if the directory is not a run's, holds links out of itself, or its configuration names a class from
            another module.
    """
    path = Path(directory)
    if not is_folder(path):
        raise UserError(f"{option}={directory}: there is no such directory")
    check_files(path, option)
    try:
        text = read_yaml_text(RunDirectory(path).config, path)
        _check_size(parsed_yaml(text))
        config = OmegaConf.create(text)
    except FileNotFoundError:
        raise UserError(f"{option}={directory}: not the directory of a run: it has no .hydra/config.yaml") from None
    except Exception as error:  # whatever a damaged file makes of the parser
        raise UserError(f"{option}={directory}: its .hydra/config.yaml is damaged ({first_line(error)})") from None
    if not isinstance(config, DictConfig):
        raise UserError(f"{option}={directory}: its .hydra/config.yaml is damaged (it holds no options)")
    refuse_untrusted(foreign_resolvers(OmegaConf.to_container(config)), f"{option}={directory}", trusted)
    try:
        values = _with_current_classes(plain(config))
    except (OmegaConfBaseException, RecursionError, ValueError) as error:  # such as a UserError
        reason = first_line(error)
        raise UserError(f"{option}={directory}: its .hydra/config.yaml cannot be resolved ({reason})") from None
    with _told_of(f"{option}={directory}"):
        foreign = foreign_names(values)
    refuse_untrusted(foreign, f"{option}={directory}", trusted)  # before their sources are read for defaults
    with _told_of(f"{option}={directory}"):
        return _completed(OmegaConf.create(values))


def options_that_differ(stored: DictConfig, config: DictConfig) -> list[str]:
    """Return the options that would make a run another one than that whose configuration is stored.

    Args:
        stored: what `stored_config` returned.
        config: the configuration of the run, in which an option that is not there has its default.
    """
    return differing_options(plain(stored), plain(_completed(OmegaConf.create(plain(config)))))


def refuse_untrusted(names: Mapping[str, str], place: str, trusted: Collection[str]) -> None:
    """Refuse names that a run's folder uses without the user's word.

    Args:
        names: the names, each with the word that allows it (`vae.config.trust`).
        place: the option that named the run, with the run.
        trusted: the modules that the user trusts.

    Raises:
        UserError: naming them, and the option that allows them.
    """
    allowed = {module.partition(".")[0] for module in trusted}
    if unknown := {name: word for name, word in names.items() if word not in allowed}:
        words = ",".join(sorted({*unknown.values(), *allowed}))
        raise UserError(
            f"{place}: its configuration names {', '.join(sorted(unknown))}, which may run any code or read what is "
            f"yours; add trust={words if ',' not in words else f'[{words}]'} if you trust this run with it"
        )


def foreign_modules(config: DictConfig) -> set[str]:
    """Return the words for the option `trust` without which a run of this configuration cannot resume."""
    ours = _without_hydra(config)
    return {*foreign_names(plain(ours)).values(), *foreign_resolvers(OmegaConf.to_container(ours)).values()}


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a configuration without Hydra's own node in plain containers, interpolations resolved.

    Raises:
        UserError: if a mandatory value is missing, if it would be huge, or a value looks like an interpolation once it
            is resolved, which building an object would resolve again.
    """
    check_references(OmegaConf.to_container(config))
    try:
        container = {str(name): _plain(config[name]) for name in config if name != "hydra"}
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key}: must be given, as {error.full_key}=VALUE") from None
    for path, part in parts(container):
        named = ".".join(map(str, path)) + ("" if isinstance(part, dict | list) else f"={part}")
        if "${" in named:
            raise UserError(f"{named}: must not hold ${{ once it is resolved")
    return container


def _check_size(node: Any) -> None:
    """Refuse a configuration that OmegaConf would be busy with for minutes.

    Raises:
        ValueError: saying what it has too much of.
    """
    if (count := sum(1 for _ in parts(node)) - 1) > MOST_OPTIONS:
        raise ValueError(f"it has {count:,} parts, and at most {MOST_OPTIONS:,} are read")
    if any(len(text) > _LONGEST_REFERENCE and "$" in text for text in texts(node)):
        raise ValueError(f"it has a reference in a text of more than {_LONGEST_REFERENCE:,} characters")


def _plain(node: Any) -> Any:
    is_container = OmegaConf.is_config(node)  # one in its place, where its interpolations find the rest
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if is_container else node


def trusted_modules(config: DictConfig) -> list[str]:
    """Return the modules that the option `trust` names."""
    trust = OmegaConf.select(config, "trust")
    return [] if trust is None else [trust] if isinstance(trust, str) else [str(module) for module in trust]


@contextlib.contextmanager
def _told_of(place: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError(f"{place}: its configuration names {error}") from None
    except OmegaConfBaseException as error:
        raise UserError(f"{place}: its .hydra/config.yaml is damaged ({first_line(error)})") from None


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"])


def _with_current_classes(node: Any) -> Any:
    """Return a configuration in plain containers with the classes of earlier versions under their present names."""
    if isinstance(node, list):
        return [_with_current_classes(value) for value in node]
    if not isinstance(node, dict):
        return node
    current = {name: _with_current_classes(value) for name, value in node.items()}
    if "_target_" in node:
        current["_target_"] = MOVED_CLASSES.get(str(node["_target_"]), node["_target_"])
    return current


def _completed(config: DictConfig) -> DictConfig:
    for name, group in GROUPS.items():
        if isinstance(node := config.get(name), DictConfig) and not group.many:
            config[name] = OmegaConf.merge(group.defaults(node.get("_target_", group.target)), node)
    return config
