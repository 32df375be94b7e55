"""The share of a machine that each run of a sweep gets, under each of Hydra's launchers."""

import shutil
import warnings
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae.cli.arguments import as_written
from vae.errors import UserError
from vae.processes import memory

#: The option by which a launcher learns how many runs go at a time, or how many cores a run takes
_RUNS_AT_A_TIME = {"joblib": "hydra.launcher.n_jobs", "submitit_local": "hydra.sweeper.max_batch_size"}
_THREADS_PER_RUN = {"ray": "hydra.launcher.ray.remote.num_cpus", "submitit_slurm": "hydra.launcher.cpus_per_task"}
#: Defaults of launchers that do not suit a sweep of trainings, replaced unless the user chose them
_DEFAULTS: dict[str, dict[str, Any]] = {
    "joblib": {"hydra.launcher.batch_size": "1"},  # finished runs end at once, which would make it hand out several
    "submitit_local": {"hydra.launcher.timeout_min": 525_600},  # a year; its own hour would end a longer run
}
#: What TensorFlow keeps of a run's programs as long as a process lives, in bytes: measured, 60 to 110 MB
_KEPT_OF_PROGRAMS = 80 * 2**20


def check_launcher(config: DictConfig) -> None:
    """Check that the launcher can work on this machine.

    Raises:
        UserError: if it needs Slurm and there is none.
    """
    if config.hydra.runtime.choices["hydra/launcher"] == "submitit_slurm" and not shutil.which("srun"):
        raise UserError("hydra/launcher=submitit_slurm: needs a machine of a Slurm cluster, and srun was not found")


def share_cores(config: DictConfig, count: int) -> int | None:
    """Let as many of `count` runs go at a time as there are cores, and return the threads of each; None for all.

    Options that the user chose stay: the launcher's own and `trainer.threads`.
    """
    from joblib import cpu_count, effective_n_jobs  # which know of affinity and containers

    launcher, cores = config.hydra.runtime.choices["hydra/launcher"], cpu_count()
    overrides = [*as_written(config.hydra.overrides.task), *as_written(config.hydra.overrides.hydra)]
    chosen = {override.partition("=")[0].lstrip("+") for override in overrides}
    for name, value in _DEFAULTS.get(launcher, {}).items():
        if name not in chosen:
            OmegaConf.update(config, name, value)
    threads: int | None = config.trainer.threads
    if threads is None and "trainer.threads" in chosen:  # swept, or null for every run
        return None
    if launcher in _RUNS_AT_A_TIME:
        option = _RUNS_AT_A_TIME[launcher]
        limit = OmegaConf.select(config, option)
        at_a_time = cores // (threads or 1) if limit in (None, -1) else effective_n_jobs(limit)
        at_a_time = max(1, min(at_a_time, count))
        OmegaConf.update(config, option, at_a_time)
        threads = threads or max(1, cores // at_a_time)
    elif launcher in _THREADS_PER_RUN:
        option = _THREADS_PER_RUN[launcher]
        share = max(1, cores // count) if launcher == "ray" else None  # Slurm's machines are not this one
        threads = threads or OmegaConf.select(config, option) or share
        OmegaConf.update(config, option, threads, force_add=True)
    if threads and config.trainer.threads is None:
        config.hydra.overrides.task.append(f"trainer.threads={threads}")  # recorded in every run's .hydra/
    return threads


def warn_of_programs(config: DictConfig, count: int) -> None:
    """Warn if the programs that a sweep's runs do not share would fill this machine's memory.

    Args:
        config: the sweep's own configuration with the node `hydra`, in which its runs' share of the machine is set.
        count: the number of runs whose programs are others than those of the runs before.
    """
    launcher = config.hydra.runtime.choices["hydra/launcher"]
    if launcher != "basic" and (launcher != "joblib" or OmegaConf.select(config, _RUNS_AT_A_TIME["joblib"]) > 1):
        return  # each run has a process, or joblib renews those that grow
    needed, there = count * _KEPT_OF_PROGRAMS / 2**30, memory() / 2**30
    if needed > there / 2:
        warnings.warn(
            f"{count:,} runs have programs of their own; TensorFlow would keep them all, about {needed:,.0f} GiB, and "
            f"this machine has {there:.0f}; hydra/launcher=joblib hydra.launcher.n_jobs=2 renews a process that grows",
            stacklevel=2,
        )
