"""A script as a command: it can be called from a shell or, as a function, from another program."""

import contextlib
import gc
import inspect
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import vae
from vae import compat, invocation
from vae.cli import config_source
from vae.cli.arguments import imports_from_here, prepared
from vae.cli.errors import one_line_errors
from vae.cli.help import asks_for_help, help_text
from vae.cli.sweeps import failures, runs_of_search
from vae.errors import shorten_warnings
from vae.training.signals import interrupt_on_signals

_GO_ON = "the same command with the hydra.sweep.dir printed above continues them"
_LOST_WORKER = (
    "hydra/launcher=joblib: a worker process was killed, perhaps for lack of memory, and the runs of the others were "
    f"stopped; {_GO_ON}; hydra.launcher.n_jobs=N trains fewer at a time"
)
_LATE_RUN = f"hydra.launcher.timeout: a run took longer than these seconds, and all were stopped; {_GO_ON}"
_resources: list[contextlib.ExitStack] = []  # of each command that is running: one may call another


def main(task: Callable[[], Any]) -> None:
    """Run a script's Hydra task on the arguments of the shell.

    With `HYDRA_FULL_ERROR=1` in the environment, errors keep their tracebacks.
    """
    gc.disable()  # what a start makes is no garbage; TensorFlow's import ends it
    interrupt_on_signals()  # SIGTERM as Ctrl-C, or a launcher's processes would stay
    config_source.register()  # before Hydra could find its plugins in the current folder
    if imports_from_here(sys.argv[1:]):
        sys.path.append(str(Path.cwd()))  # for modules of the user's
    shorten_warnings()
    _run(task, sys.argv[0], sys.argv[1:])


def call(task: Callable[[], Any], arguments: Sequence[str]) -> int:
    """Run a script's Hydra task in this process, and leave the process as it was.

    Args:
        task: the function that `hydra.main` decorates, such as `vae.scripts.train.train`.
        arguments: the arguments as in a shell.

    Returns:
        The exit status. A user's mistake is printed to stderr in one line and gives 2, and a run that
        could not go on 1.
    """
    with _restored():
        shorten_warnings()
        try:
            _run(task, inspect.unwrap(task).__code__.co_filename, arguments)
        except SystemExit as error:
            if isinstance(error.code, str):
                print(error.code, file=sys.stderr)
                return 1
            return error.code or 0
    return 0


def compose(script: str, *arguments: str) -> DictConfig:
    """Return the configuration that a script would compose, without running it.

    Args:
        script: "train" or "evaluate".
        *arguments: overrides as in a shell, such as "kl=backend".

    Raises:
        UserError: if an argument names a class that does not exist, or a run to resume that does not.
        hydra.errors.HydraException: if an option does not exist.
    """
    config_source.register()
    with _restored(), initialize_config_dir(config_source.CONFIGS, version_base="1.3"):
        return hydra.compose(script, prepared(arguments))


def hold(resource: contextlib.AbstractContextManager[Any]) -> None:
    """Enter a context that ends with the command that is running."""
    _resources[-1].enter_context(resource)


def current_arguments() -> list[str]:
    """Return the arguments of the command that is running."""
    return sys.argv[1:]


def _run(task: Callable[[], Any], script: str, arguments: Sequence[str]) -> None:
    command = task.__name__
    config_source.register()
    compat.keep_stderr_open()
    shows_tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints errors itself, in several lines
    with (
        contextlib.nullcontext() if shows_tracebacks else one_line_errors(command, arguments),
        _holding_resources(),
    ):
        sys.argv = [script, *prepared(arguments)]
        if asks_for_help(arguments):
            print(help_text(command, sys.argv[1:]))
            return
        if "--version" in arguments:  # Hydra would print its own alone
            print(f"vae {vae.__version__}")
            return
        compat.check_flags(sys.argv[1:])
        try:
            task()
        except Exception as error:
            if compat.is_lost_joblib_worker(error):
                lines = [_LOST_WORKER]
            elif compat.is_joblib_timeout(error):
                lines = [_LATE_RUN]
            elif compat.is_search_without_results(error):
                lines = failures(runs_of_search(Path(HydraConfig.get().sweep.dir)))
            else:
                raise
            raise SystemExit("\n".join(f"{invocation.program(command)}: {line}" for line in lines)) from None


@contextlib.contextmanager
def _holding_resources() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        _resources.append(stack)
        try:
            yield
        finally:
            _resources.pop()


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Restore what Hydra and a script change in their process: Hydra's singletons, arguments, signals and warnings."""
    running, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    full_error = os.environ.get("HYDRA_FULL_ERROR")
    arguments, terminate, format_warning = sys.argv, signal.getsignal(signal.SIGTERM), warnings.formatwarning
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra, HydraConfig.instance().cfg = running, config
        sys.argv, warnings.formatwarning = arguments, format_warning
        signal.signal(signal.SIGTERM, terminate)
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error
