"""The checks of a command before Hydra writes anything, as a Hydra callback."""

import atexit
import gc
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vae import invocation
from vae.cli.arguments import check_values
from vae.cli.beginning import check_unused
from vae.cli.command import current_arguments, hold
from vae.cli.comparing import FRONTIER, show_sweep, train_frontier, update_comparison
from vae.cli.errors import one_line_errors
from vae.cli.resume import check_resume
from vae.cli.sweeps import (
    betas_of_exact_kl,
    failures,
    is_one_of_several,
    is_planned,
    runs_of_search,
    start_search,
    start_sweep,
)
from vae.config.stored import plain, stored_config, trusted_modules
from vae.config.validation import check_evaluate
from vae.distributed.cluster import check_multi_worker, is_chief
from vae.errors import UserError, shorten_warnings
from vae.options import PositiveFloat, check_option, shown
from vae.runs.lock import locked
from vae.runs.untrusted import check_files

_FRONTIER_OPTION = "hydra.callbacks.preflight.frontier"


class Preflight(Callback):
    """Refuses a command that cannot succeed before Hydra writes anything, and prepares and closes a sweep.

    Hydra turns an exception in a callback into a warning, but lets SystemExit through.

    Args:
        frontier: values of beta at which the exact KL is trained after the runs of a sweep, which are compared to it;
            None for no such runs.
        compares: whether a sweep ends with a comparison of its runs.
    """

    def __init__(self, frontier: Sequence[float] | None = None, *, compares: bool = True) -> None:
        self._frontier = frontier
        self._compares = compares
        self._directories: list[Path] = []

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the configuration, and that no earlier run would be written over."""
        HydraConfig.instance().set_config(config)  # hydra.run.dir refers to it
        with one_line_errors(config.hydra.job.name, current_arguments()):
            if "run" in config:
                check_evaluate(plain(config))
                stored_config(config.run, "run", trusted_modules(config))
            else:
                _check_training(config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the runs of a sweep that are left to do, and check that no earlier run would be written over."""
        gc.enable()  # `main` switched it off for a start without garbage: composing the runs of a sweep makes much
        with one_line_errors(config.hydra.job.name, current_arguments()):
            directory = Path(config.hydra.sweep.dir)
            check_option("hydra.callbacks.preflight.compares", bool, self._compares)
            check_option(_FRONTIER_OPTION, list[PositiveFloat] | None, self._frontier)
            if self._frontier:
                _check_frontier(config, self._frontier)
            check_files(directory, "hydra.sweep.dir")
            check_writable(directory, "hydra.sweep.dir")
            if is_planned(config.hydra):
                self._directories = start_sweep(config)
            elif is_one_of_several(config.hydra):
                start_search(config)
            elif directory.is_dir() and any(directory.iterdir()):
                raise UserError(f"hydra.sweep.dir={directory}: is not empty, and no run is written over")
            directory.mkdir(parents=True, exist_ok=True)
            hold(locked(directory))

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Prepare the process in which a launcher runs a job."""
        shorten_warnings()

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Bring the comparison of a sweep up to date, so that TensorBoard shows it while the sweep goes on."""
        if is_one_of_several(config.hydra):
            job_return.cfg = job_return.hydra_cfg = None  # Hydra keeps them to the end of the sweep, and reads neither
            if self._compares:
                update_comparison(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Compare the runs of a sweep, and name those that failed."""
        directory = Path(config.hydra.sweep.dir)
        runs = self._directories or (runs_of_search(directory) if is_one_of_several(config.hydra) else [])
        failed = []
        if self._frontier and not train_frontier(config, self._frontier):
            failed.append(f"{directory / FRONTIER}: not all runs of the frontier finished")
        if self._compares and (len(runs) > 1 or self._frontier):
            show_sweep(config)
        if failed := [*failures(runs), *failed]:
            program = invocation.program(config.hydra.job.name)
            raise SystemExit("\n".join(f"{program}: {line}" for line in failed))


def check_writable(directory: str | Path, option: str) -> None:
    """Write a little into a run's directory, or into the folder in which it would be made.

    Raises:
        UserError: if that fails; `option` is the one that named the directory.
    """
    path = Path(directory).absolute()
    try:
        existing = next(folder for folder in (path, *path.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0" * 65_536)
    except OSError as error:
        raise UserError(f"{option}={directory}: cannot be written ({error.strerror}); name another folder") from None


def _check_frontier(config: DictConfig, betas: Sequence[float]) -> None:
    """Refuse values of beta that make no frontier. The betas of a search's own runs are not known beforehand.

    Raises:
        UserError: if one is there twice, or if they and those of a sweep's own runs of the exact KL are too few.
    """
    from vae.compare.frontier import FEWEST_BETAS  # takes a second: pandas and SciPy

    given = f"{_FRONTIER_OPTION}={shown(betas)}"
    if repeated := [beta for number, beta in enumerate(betas) if beta in betas[:number]]:
        raise UserError(f"{given}: has {shown(repeated[0])} more than once; every beta must be another")
    if len(betas) >= FEWEST_BETAS or not is_planned(config.hydra):
        return
    own = betas_of_exact_kl(config)
    if len({*betas, *own}) < FEWEST_BETAS:
        others = f" with {shown(own)} of the sweep's own runs of kl=analytic" if own else ""
        raise UserError(
            f"{given}: a frontier takes at least {FEWEST_BETAS} different betas, and these are "
            f"{len({*betas, *own})}{others}; name more"
        )


def _check_training(config: DictConfig) -> None:
    check_values(config, config.hydra)
    if OmegaConf.select(config, "hydra.sweeper.params"):
        experiment = config.hydra.runtime.choices.experiment
        raise UserError(f"experiment={experiment}: consists of several runs; add -m")
    if config.trainer.strategy == "multi_worker":
        check_multi_worker()
    if config.resume:
        check_resume(config)
    directory = Path(config.hydra.run.dir)
    if not is_chief(config.trainer.strategy):
        _write_to_temporary_directory(config)
        return
    check_writable(directory, "resume" if config.resume else "hydra.run.dir")
    if not config.resume:
        check_unused(directory)
        with read_write(config.hydra):
            config.hydra.output_subdir = None  # begun_run writes it, once the directory is locked


def _write_to_temporary_directory(config: DictConfig) -> None:
    """Give a worker that is not the chief a directory of its own, which is removed when it ends."""
    directory = tempfile.mkdtemp(prefix="vae-worker-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.run.dir, config.hydra.output_subdir = directory, None
