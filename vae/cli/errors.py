"""A user's mistake as one line on stderr; anything else as one line and a file with the traceback."""

import contextlib
import difflib
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae import compat, invocation
from vae.cli.arguments import prepared
from vae.cli.config_source import CONFIGS
from vae.config.groups import GROUPS, ONE_OPTION
from vae.errors import INTERRUPTED_STATUS, RunError, UserError, first_line, printable
from vae.named_paths import is_folder
from vae.runs.files import atomic_path, disk_problem
from vae.runs.identity import flatten


@contextlib.contextmanager
def one_line_errors(command: str, arguments: Sequence[str] = ()) -> Iterator[None]:
    """Turn a user's mistake inside into one line on stderr and its exit status.

    Args:
        command: "train" or "evaluate", whose program the line opens with.
        arguments: its command line, from which an unknown option's neighbours are found.

    Raises:
        SystemExit: with the status of the mistake, or that of an interrupted program.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED_STATUS) from None
    except Exception as error:
        refuse(command, _user_error_behind(error) or explained(error, command, arguments))


def refuse(command: str, error: UserError) -> NoReturn:
    """End a command with one line on stderr and the status of the mistake."""
    print(f"{invocation.program(command)}: {error}", file=sys.stderr)
    raise SystemExit(error.status)


def explained(error: Exception, command: str, arguments: Sequence[str]) -> UserError:
    """Return an error of Hydra's as one that says in one line what is wrong, and what would be right.

    An error that nothing on the command line leads to is an unexpected one.

    Args:
        error: the error.
        command: "train" or "evaluate".
        arguments: the command line. An argument that is wrong by itself is named, if the error names none.
    """
    reason = _reason(error, command, arguments)
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return UserError(f"{error.full_key}: {reason}")
    names = {argument.lstrip("+~-").partition("=")[0] for argument in arguments} - {""}
    if any(reason.startswith(name) or f"'{name}'" in reason for name in names):
        return UserError(reason)
    if culprit := _culprit(command, arguments):
        return UserError(f"{culprit}: {reason}")
    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(reason)
    return RunError(unexpected_error(error, Path()))


def _culprit(command: str, arguments: Sequence[str]) -> str | None:
    """Return the last argument that cannot be composed or resolved even if it is the only one."""
    flags = [argument for argument in arguments if argument.startswith("--config")]
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        for argument in reversed(arguments):
            try:
                composed = compose(command, [] if argument.startswith("-") else prepared([argument]))
                OmegaConf.to_container(composed, resolve=True)
            except Exception:
                return argument
    return flags[0] if flags else None


def _reason(error: Exception, command: str, arguments: Sequence[str]) -> str:
    if compat.is_group_given_a_value(error):
        return ONE_OPTION
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        more = "; the extra 'sweep' brings more" if group in ("hydra/launcher", "hydra/sweeper") else ""
        return f"{group}={option}: there is no such option; choose one of {', '.join(error.options)}{more}"
    if isinstance(error, ConfigCompositionException) and (name := compat.unknown_override(error)):
        if name in GROUPS and command == "train":
            return f"{name}: {ONE_OPTION}"
        others = [option for option in _known_options(command, arguments) if option != name]
        near = difflib.get_close_matches(name, others, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{name}: there is no such option here; {hint}--help lists them all"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: Hydra's grammar does not take this ({first_line(error)}); quote it: NAME='VALUE'"
    return first_line(error)


def unexpected_error(error: BaseException, directory: Path) -> str:
    """Return one line about an error that is not the user's mistake, and write its traceback to a file.

    Args:
        error: the error.
        directory: the folder of the file, `traceback.txt`.
    """
    choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    chosen = ", ".join(f"{group}={choices[group]}" for group in ("model", "latent", "kl", "data") if group in choices)
    path = directory / "traceback.txt"
    reason = printable(" ".join(str(error).split())[:200])
    message = f"{chosen or 'failed'}: {type(error).__name__}: {reason}"
    text = "".join(traceback.format_exception(error))
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as problem:
        return f"{message}; the traceback could not be written to {path} ({problem.strerror})"
    return f"{message}; the traceback is in {path}"


def unwritable(error: BaseException) -> str | None:
    """Return one line about a file that a full or failing disk, or its permissions, kept from being written."""
    if (problem := disk_problem(error)) is None:
        return None
    name = getattr(error, "filename", None)
    return f"{name or 'a file'}: cannot be written ({problem}); the files saved so far are complete"


def _user_error_behind(error: BaseException | None) -> UserError | None:
    """Return the user's mistake that led to an error of another library's, or None.

    An error may be its own cause: OmegaConf makes it so with `OC_CAUSE=1`, and under a debugger.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, UserError):
            return error
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


def _known_options(command: str, arguments: Sequence[str]) -> list[str]:
    """Return every option and group that the command line has, without the values that it overrides."""
    groups = [argument for argument in arguments if is_folder(Path(CONFIGS) / argument.partition("=")[0])]
    GlobalHydra.instance().clear()
    with initialize_config_dir(CONFIGS, version_base="1.3"):
        try:
            config = compose(command, groups)
        except HydraException:
            config = compose(command)
    container = OmegaConf.to_container(config)
    assert isinstance(container, dict)
    options = {str(key): value for key, value in container.items()}
    return [*options, *flatten(options)]
