"""The scripts as commands: what is refused before Hydra writes anything, and mistakes in one line."""

import atexit
import contextlib
import difflib
import os
import re
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from vae.cli.sweeps import (
    begin_run,
    failures,
    is_planned,
    is_swept,
    one_of_many,
    searched,
    show_sweep,
    start_search,
    start_sweep,
)
from vae.config.check import (
    DATA_PATHS,
    check_resume,
    check_writable,
    evaluate_settings,
    flat,
    run_configuration,
    train_settings,
)
from vae.distributed.cluster import check_multi_worker, is_chief
from vae.errors import UserError

_PATHS = {"resume", "run", "hydra.run.dir", "hydra.sweep.dir", *DATA_PATHS}


def main(task: Callable[[], None]) -> None:
    """Runs a script's Hydra task; a user's mistake ends in one line on stderr and status 1.

    `HYDRA_FULL_ERROR=1` shows the whole traceback instead.
    """
    _shorten_warnings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, or a launcher's processes would stay
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        _prepare_arguments()
        task()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors itself, in several lines
    with _one_line_errors(Path(sys.argv[0]).name):
        _prepare_arguments()
        task()


class Guard(Callback):
    """Stops what cannot be before Hydra writes anything; sees to it that a sweep's runs go beside each other.

    Hydra turns an exception in a callback into a warning; SystemExit it lets through.
    """

    def __init__(self) -> None:
        self._directories: list[Path] = []

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the configuration, and that no earlier run is in the way."""
        HydraConfig.instance().set_config(config)  # hydra.run.dir refers to it
        with _one_line_errors(f"{config.hydra.job.name}.py"):
            if "run" in config:
                evaluate_settings(config)
                return
            settings = train_settings(config)
            if config.hydra.sweeper.params:
                raise UserError(f"experiment={config.hydra.runtime.choices.experiment}: is of several runs; add -m")
            if settings.trainer.strategy == "multi_worker":
                check_multi_worker()
            if settings.resume:
                check_resume(config)
            directory = Path(config.hydra.run.dir)
            if not is_chief(settings.trainer.strategy):
                _write_elsewhere(config)
                return
            check_writable(directory, "resume" if settings.resume else "hydra.run.dir")
            if not settings.resume and any((directory / name).exists() for name in (".hydra", "summary.json")):
                raise UserError(f"hydra.run.dir={directory}: holds a run already, which is never written over")

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Finds out what there is to do, and that no earlier run is in the way."""
        with _one_line_errors(f"{config.hydra.job.name}.py"):
            directory = Path(config.hydra.sweep.dir)
            check_writable(directory, "hydra.sweep.dir")
            if is_planned(config.hydra):
                self._directories = start_sweep(config)
            elif is_swept(config.hydra):
                start_search(config)
            elif directory.is_dir() and any(directory.iterdir()):
                raise UserError(f"hydra.sweep.dir={directory}: is not empty, and no run is written over")

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Prepares the process that a launcher runs a job in."""
        _shorten_warnings()
        if is_planned(config.hydra):
            begin_run(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Compares the runs, and names those that failed."""
        directory = Path(config.hydra.sweep.dir)
        runs = self._directories or (searched(directory) if is_swept(config.hydra) else [])
        if len(runs) > 1:
            show_sweep(directory)
        if failed := failures(runs):
            raise SystemExit("\n".join(f"{config.hydra.job.name}.py: {line}" for line in failed))


@contextlib.contextmanager
def reported(made: Path | None = None) -> Iterator[None]:
    """Around what a script does: the user's mistake ends it in one line.

    Args:
        made: the directory that Hydra made for this run. Where nothing but Hydra's files is in it by then, it goes.
    """
    if made is not None and is_swept(HydraConfig.get()):
        with one_of_many(made):
            yield
        return
    try:
        yield
    except UserError as error:
        if made is not None and [path.name for path in made.iterdir()] == [".hydra"]:
            shutil.rmtree(made)
            _remove_empty(made.absolute().parents)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise  # Hydra goes on, and names the job at the end
        sys.exit(f"{HydraConfig.get().job.name}.py: {error}")


def run_directory() -> Path:
    """The directory that Hydra made for this run."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory


def _write_elsewhere(config: DictConfig) -> None:
    """Gives a worker that is not the chief a directory of its own, which goes when it ends."""
    directory = tempfile.mkdtemp(prefix="vae-worker-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.run.dir, config.hydra.output_subdir = directory, None


def _remove_empty(directories: Iterable[Path]) -> None:
    for directory in directories:
        if Path.cwd() not in directory.parents or any(directory.iterdir()):
            return
        directory.rmdir()


def _shorten_warnings() -> None:
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"


@contextlib.contextmanager
def _one_line_errors(script: str) -> Iterator[None]:
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        raise SystemExit(f"{script}: {_explain(error)}") from None
    except ValueError as error:
        if "No trials are completed yet" in str(error):  # Optuna's sweeper, when no run has come to its end
            lines = failures(searched(Path(HydraConfig.get().sweep.dir)))
            raise SystemExit("\n".join(f"{script}: {line}" for line in lines)) from None
        if "Config group override" not in str(error):
            raise
        raise SystemExit(f"{script}: a group takes one of its options, by name; --help lists them") from None
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def _prepare_arguments() -> None:
    """Quotes paths that Hydra's grammar would not take as they are; replays the overrides of a run to resume."""
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    directory = given.get("resume", "null")
    if directory not in ("null", ""):
        if {"-m", "--multirun"} & set(sys.argv):
            raise UserError(f"resume={directory}: is for a single run; a sweep goes on by hydra.sweep.dir=DIR")
        run_configuration(directory, "resume")
        overrides = [str(override) for override in OmegaConf.load(Path(directory) / ".hydra" / "overrides.yaml")]
        replayed = [override for override in overrides if override.partition("=")[0] not in {*given, "hydra.run.dir"}]
        sys.argv[1:] = [*replayed, *sys.argv[1:], f"hydra.run.dir={directory}", "hydra.output_subdir=null"]
    # An experiment is chosen by either form: it stands in the defaults as null
    sys.argv[1:] = [_quoted(argument.replace("+experiment=", "experiment=", 1)) for argument in sys.argv[1:]]


def _quoted(argument: str) -> str:
    name, equals, value = argument.partition("=")
    if name not in _PATHS or not re.search(r"[ '\"=(){}\[\]]", value) or value[0] in "'\"" or "${" in value:
        return argument
    escaped = value.replace("'", "\\'")
    return f"{name}{equals}'{escaped}'"


def _explain(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        more = "; pip install '.[sweep]' brings more" if group in ("hydra/launcher", "hydra/sweeper") else ""
        return f"{group}={option}: there is no such option; choose one of {', '.join(error.options)}{more}"
    if isinstance(error, ConfigCompositionException) and "Could not override" in str(error):
        name = str(error).split("'")[1].split("@")[0]
        near = difflib.get_close_matches(name, _known_options(), n=1, cutoff=0.5)
        return (
            f"{name}: there is no such option here{f'; did you mean {near[0]}?' if near else ''} --help lists them all"
        )
    if isinstance(error, OverrideParseException):
        return f"{error.override}: Hydra's grammar does not take this ({_first_line(error)}); quote it: NAME='VALUE'"
    return _first_line(error)


def _known_options() -> list[str]:
    """Every option and group that the command line as given, without what it overrides, would have."""
    script = Path(sys.argv[0]).resolve()
    configs = script.parent / "configs"
    groups = [argument for argument in sys.argv[1:] if (configs / argument.partition("=")[0]).is_dir()]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(configs), version_base="1.3"):
        try:
            config = compose(script.stem, groups)
        except HydraException:
            config = compose(script.stem)
    container = OmegaConf.to_container(config)
    assert isinstance(container, dict)
    options = {str(key): value for key, value in container.items()}
    return [*options, *flat(options)]


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
