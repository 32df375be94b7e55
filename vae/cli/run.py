"""The run that a script is in: its directory, its facts, and the end that a mistake or a fault puts to it."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vae import invocation
from vae.cli.arguments import check_values
from vae.cli.command import hold
from vae.cli.errors import refuse, unexpected_error, unwritable
from vae.cli.sweeps import contained_failure, is_one_of_several, is_planned
from vae.config.build import hyperparameters, kl_name
from vae.config.stored import foreign_modules, trusted_modules
from vae.distributed.cluster import is_chief
from vae.errors import UserError
from vae.runs.summary import is_finished

if TYPE_CHECKING:
    from vae.training import Description


def run_directory() -> Path:
    """Return the directory that Hydra made for this run."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory


def check_configuration(config: DictConfig) -> None:
    """Check the configuration of a run, which for a run of a sweep nobody has checked yet.

    Raises:
        UserError: naming the first option that is wrong, and what would be right.
    """
    check_values(config, HydraConfig.get())


def choices() -> dict[str, str]:
    """Return the option that was chosen of each group."""
    return {str(group): str(option) for group, option in HydraConfig.get().runtime.choices.items()}


def is_finished_run_of_sweep(directory: Path) -> bool:
    """Return True for a run that a sweep, started again, finds finished."""
    return is_planned(HydraConfig.get()) and is_finished(directory)


def facts_of_run(config: DictConfig) -> dict[str, Any]:
    """Return the facts of a run that its record holds, as arguments of `vae.training.RunRecord`."""
    return {
        "writes": is_chief(config.trainer.strategy),
        "trust": modules_to_trust(config),
        "seed": config.seed,
        "kl": kl_name(config, choices()),
    }


def modules_to_trust(config: DictConfig) -> list[str]:
    """Return the modules of a user's classes that a run is built from, which a resume must be told to trust."""
    return sorted({*trusted_modules(config), *foreign_modules(config)})


def description_of_run(config: DictConfig) -> "Description":
    """Return a run's configuration as TensorBoard shows it."""
    from vae.training import Description

    options = hyperparameters(config, choices())
    return Description(options, OmegaConf.to_yaml(config))


@contextlib.contextmanager
def _status(status: int) -> Iterator[None]:
    """Leave with an exit status."""
    yield
    raise SystemExit(status)


@contextlib.contextmanager
def reported_errors(directory: Path | None = None) -> Iterator[None]:
    """End a script in one line if the user made a mistake, or if something unexpected fails.

    The traceback of an unexpected error is written into the run's directory, or into the current one. Of several
    evaluations, those that the user's mistake does not hinder are made, and the command has its status in the end.

    Args:
        directory: the directory that Hydra made for the run.
    """
    hydra = HydraConfig.get()
    if directory is not None and is_one_of_several(hydra):
        with contained_failure(directory):
            yield
        return
    try:
        yield
    except UserError as error:
        if hydra.mode != RunMode.MULTIRUN:
            refuse(hydra.job.name, error)
        if hydra.runtime.choices["hydra/launcher"] != "basic":
            raise  # Hydra names the first job that fails, once all have ended in other processes
        print(f"{invocation.program(hydra.job.name)}: {error}", file=sys.stderr)
        hold(_status(error.status))
    except Exception as error:
        message = unwritable(error) or unexpected_error(error, directory or Path())
        sys.exit(f"{invocation.program(hydra.job.name)}: {message}")
