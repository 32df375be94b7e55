"""The run that a command resumes or measures: its configuration, and which options may differ from it."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae.cli.arguments import named_modules
from vae.cli.command import current_arguments
from vae.config.agreement import check_differentiable_draws
from vae.config.groups import DATA_OF_EVALUATE
from vae.config.stored import options_that_differ, plain, stored_config, trusted_modules
from vae.config.validation import check_evaluate
from vae.errors import NonFiniteError, UserError
from vae.options import Seed, check_option
from vae.runs.identity import DATA_PLACES, flatten
from vae.runs.lock import locked
from vae.runs.summary import read_summary


def check_resume(config: DictConfig) -> None:
    """Compare a configuration with that of the run it resumes.

    Raises:
        UserError: naming the options that differ and must not; or if the run has all of its epochs already.
    """
    trusted = {*trusted_modules(config), *named_modules(current_arguments())}
    differing = options_that_differ(stored_config(config.resume, "resume", trusted), config)
    if refused := [name for name in differing if name != "trainer.epochs"]:
        raise UserError(
            f"resume={config.resume}: {', '.join(refused)} cannot change; "
            "trainer.epochs, trainer.threads and the paths of the data can"
        )
    summary = read_summary(config.resume)
    epochs = summary.get("epochs")
    if summary.get("status") == "finished" and isinstance(epochs, int) and epochs >= config.trainer.epochs:
        raise UserError(f"resume={config.resume}: has its {epochs} epochs; trainer.epochs=N trains longer")


@contextlib.contextmanager
def measured_run(config: DictConfig) -> Iterator[DictConfig]:
    """Lock the run that `evaluate.py` measures, and yield its configuration with the paths that the user replaces.

    Raises:
        UserError: if an option is wrong, there is no such run, its configuration names a class that is not trusted or
            none for its data, or its seed is needed and none; or if the inference gap is asked for and its latent
            variables are discrete; or if another process writes to it.
        NonFiniteError: inside, if the model gives numbers that are not finite.
    """
    check_evaluate(plain(config))  # again, as nobody has checked the jobs of -m
    run = stored_config(config.run, "run", trusted_modules(config))
    if config.seed is None:
        check_option(f"run={config.run}: its seed", Seed, run.get("seed"))
    if not isinstance(data := run.get("data"), DictConfig) or "_target_" not in data:
        raise UserError(f"run={config.run}: its data names no class; must be a data set, as a run writes it")
    for name in DATA_OF_EVALUATE:
        if config.data[name] is not None:
            OmegaConf.update(run, f"data.{name}", config.data[name], force_add=True)
    if config.gap_images is not None:
        check_differentiable_draws(str(OmegaConf.select(run, "latent._target_")))
    try:
        with locked(config.run):
            yield run
    except NonFiniteError as error:
        raise NonFiniteError(f"run={config.run}: {error}") from None


def shared_facts(config: DictConfig, checkpoints: Iterable[Path]) -> dict[str, Any]:
    """Return what must be the same on all workers of a run: every option but the paths of data, and the checkpoints."""
    options = {name: value for name, value in flatten(plain(config)).items() if name not in DATA_PLACES}
    return {**options, "checkpoints": [path.name for path in checkpoints]}
