"""The beginning of a run: its directory is locked, and its configuration is written there."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vae.cli.sweeps import is_one_of_several, is_planned
from vae.distributed.cluster import is_chief
from vae.errors import UserError
from vae.runs.files import atomic_path, read_json, write_json
from vae.runs.lock import NAME as LOCK
from vae.runs.lock import locked
from vae.runs.paths import RunDirectory
from vae.runs.summary import Status, is_finished


@contextlib.contextmanager
def begun_run(config: DictConfig, directory: Path) -> Iterator[None]:
    """Lock a run's directory, in the process of the run, and write its configuration there.

    A worker that is not the chief writes nothing. The configuration of a run that is finished or resumes stays.

    Args:
        config: the run's configuration.
        directory: the directory that Hydra made for the run. If the user made a mistake, a new one is removed again
            unless something besides the configuration has been written to it.

    Raises:
        UserError: if another process writes to the directory, or a new run would write over another one.
    """
    if not is_chief(config.trainer.strategy):
        yield
        return
    with locked(directory):
        if is_planned(HydraConfig.get()):
            if not is_finished(directory):
                _write_configuration(config, RunDirectory(directory))
                _set_running(RunDirectory(directory))
            yield
        elif is_one_of_several(HydraConfig.get()) or config.resume:
            yield
        else:
            check_unused(directory)
            _write_configuration(config, RunDirectory(directory))
            with _removed_after_mistakes(directory):
                yield


def check_unused(directory: Path) -> None:
    """Check that a directory holds no run.

    Raises:
        UserError: if it does.
    """
    run = RunDirectory(directory)
    if run.config.exists() or run.summary.exists():
        raise UserError(f"hydra.run.dir={directory}: holds a run already, which is never written over")


def _write_configuration(config: DictConfig, run: RunDirectory) -> None:
    """Write a run's configuration as Hydra does, but no file by halves, and last the one that makes it a run's."""
    run.hydra.mkdir(exist_ok=True)
    parts = {
        run.overrides: HydraConfig.get().overrides.task,
        run.hydra / "hydra.yaml": HydraConfig.instance().cfg,
        run.config: config,
    }
    for path, part in parts.items():
        with atomic_path(path) as temporary:
            OmegaConf.save(part, temporary)


def _set_running(run: RunDirectory) -> None:
    """Give a run of a sweep that starts again the status "running", beside the figures of its last attempt."""
    earlier = {name: value for name, value in read_json(run.summary).items() if name != "error"}
    write_json(run.summary, {**earlier, "status": Status.RUNNING})


@contextlib.contextmanager
def _removed_after_mistakes(directory: Path) -> Iterator[None]:
    """Remove a new run's directory if the user made a mistake and only the configuration is in it."""
    try:
        yield
    except UserError:
        if {path.name for path in directory.iterdir()} <= {RunDirectory(directory).hydra.name, LOCK}:
            shutil.rmtree(directory)
            _remove_empty_parents(directory)
        raise


def _remove_empty_parents(directory: Path) -> None:
    for parent in directory.absolute().parents:
        if Path.cwd() not in parent.parents or any(parent.iterdir()):
            return
        parent.rmdir()
