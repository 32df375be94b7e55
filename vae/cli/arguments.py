"""The command line as Hydra is to see it: short forms written out, paths quoted, the overrides of a run to resume."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from vae.cli.config_source import CONFIGS, CompletedSearchPath
from vae.cli.replay import stored_overrides
from vae.config.groups import GROUPS
from vae.config.stored import plain, stored_config
from vae.config.validation import check_train
from vae.errors import UserError
from vae.runs.identity import DATA_PLACES

_SWEEP_FLAGS = ("-m", "--multirun")
_PATHS = {"resume", "run", "hydra.run.dir", "hydra.sweep.dir", *DATA_PLACES}
_CLASS_OF_GROUP = re.compile(rf"({'|'.join(GROUPS)})\._target_=(.+)")
_OPTION_OF_CLASS = re.compile(rf"\+?((?:{'|'.join(GROUPS)})\.[\w.]+=.*)", re.DOTALL)
_OPTION_OF_KERAS_CLASS = re.compile(r"(?:optimizer\.(?!learning_rate=)|callbacks\.)")


def prepared(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a script in the form that Hydra takes.

    - `resume=DIR` is preceded by the overrides of that run.
    - `kl._target_=my_module.MyKL` chooses the class as if it were an option of the group: `kl=my_module.MyKL`.
    - Options that a class has and no YAML file lists, such as `optimizer.clipnorm=1`, need no `+`.
    - Paths that Hydra's grammar would not take are quoted.

    Raises:
        UserError: if a path is empty; if `resume` names no run, or is given with `-m`.
    """
    for name, equals, value in (argument.lstrip("+").partition("=") for argument in arguments):
        if name in _PATHS and equals and not value.strip(" '\""):
            raise UserError(f"{name}={value}: is empty; name a file or folder")
    CompletedSearchPath.folders = [CONFIGS, *_config_folders(arguments)]
    arguments = [*_overrides_to_replay(arguments), *arguments]
    chosen = {argument.partition("=")[0] for argument in arguments}
    flags = [argument for argument in arguments if argument in _SWEEP_FLAGS]  # which Hydra takes at one end only
    options = [argument for argument in arguments if argument not in _SWEEP_FLAGS]
    return [*flags, *(_quoted(_written_out(argument, chosen)) for argument in options)]


def as_written(overrides: ListConfig) -> list[str]:
    """Return overrides that Hydra keeps in its node as they were written: to read one of the list resolves it."""
    written: Any = OmegaConf.to_container(overrides)
    return [*map(str, written)]


def check_values(config: DictConfig, hydra: DictConfig) -> None:
    """Check the composed configuration of a run.

    Args:
        config: the configuration.
        hydra: Hydra's node, which has the overrides from which it was composed.

    Raises:
        UserError: naming the first option that is wrong, and what would be right.
    """
    check_train(plain(config), as_written(hydra.overrides.task))


def imports_from_here(arguments: Sequence[str]) -> bool:
    """Return True if a command may import modules from the current folder.

    One that reads a run may only if it names or trusts a module, or a folder of configurations, which may name some:
    the current folder may be the one that a stranger sent.
    """
    reads_run = any(argument.startswith(("resume=", "run=")) for argument in arguments)
    return not reads_run or bool(trusted_by(arguments) or _config_folders(arguments))


def trusted_by(arguments: Sequence[str]) -> set[str]:
    """Return the modules that the command line trusts: those that it names, and those of its option `trust`."""
    words = [value for name, _, value in (argument.partition("=") for argument in arguments) if name == "trust"]
    trusted = {word.strip(" '\"") for text in words for word in text.strip("[]").split(",")}
    return {*named_modules(arguments), *trusted} - {""}


def named_modules(arguments: Sequence[str]) -> set[str]:
    """Return the modules whose classes the command line itself names, and so trusts."""
    values = [value for name, _, value in (argument.partition("=") for argument in arguments) if _names_class(name)]
    return {target.partition(".")[0] for value in values for target in value.split(",") if "." in target}


def _names_class(name: str) -> bool:
    return name in GROUPS or name.endswith("._target_")


def _overrides_to_replay(arguments: Sequence[str]) -> list[str]:
    """Return the overrides of the run that is resumed, without those that the command line gives itself."""
    given = dict(argument.partition("=")[::2] for argument in arguments)
    directory = given.get("resume", "null")
    if directory == "null":
        return []
    if {*_SWEEP_FLAGS} & {*arguments}:
        raise UserError(f"resume={directory}: is for a single run; a sweep goes on by hydra.sweep.dir=DIR")
    trusted = trusted_by(arguments)
    stored_config(directory, "resume", trusted)
    replayed = [text for name, text in stored_overrides(directory, "resume", trusted) if name not in given]
    return [*replayed, f"hydra.run.dir={directory}", "hydra.output_subdir=null"]


def _config_folders(arguments: Sequence[str]) -> list[str]:
    """Return the folders that `--config-dir DIR` names."""
    named = [after for before, after in itertools.pairwise(arguments) if before in ("--config-dir", "-cd")]
    named += [argument.partition("=")[2] for argument in arguments if argument.startswith("--config-dir=")]
    return [str(Path(folder).absolute()) for folder in named if folder]


def _written_out(argument: str, chosen: set[str]) -> str:
    argument = argument.replace("+experiment=", "experiment=", 1)  # the defaults list it as null: either form chooses
    if (match := _CLASS_OF_GROUP.fullmatch(argument)) and match[1] not in chosen and "." in match[2]:
        return f"{match[1]}={match[2]}"
    if match := _OPTION_OF_CLASS.fullmatch(argument):
        return f"++{match[1]}" if argument[0] == "+" or _OPTION_OF_KERAS_CLASS.match(match[1]) else argument
    return argument


def _quoted(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name not in _PATHS or not re.search(r"[ '\"=(){}\[\]]", value) or value[0] in "'\"" or "${" in value:
        return argument
    escaped = value.replace("'", "\\'")
    return f"{name}{equals}'{escaped}'"
