"""The comparison of a sweep's runs, while it goes on and at its end, and the frontier that it compares them to."""

import contextlib
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae import invocation
from vae.cli.arguments import as_written
from vae.cli.sweeps import overrides_of
from vae.errors import UserError

COMPARISON = "comparison"  # the folder of a sweep's report, and its run in TensorBoard
FRONTIER = "frontier"  # the folder of its frontier, if it trains one
_UPDATE_SECONDS = 60.0
_OF_FRONTIER = ("kl", "beta", "seed", "experiment")  # groups and options that the frontier's command line sets itself


def show_sweep(config: DictConfig) -> None:
    """Print a comparison of a sweep's runs, and write the report and TensorBoard's comparison beside them.

    Args:
        config: the sweep's own configuration with the node `hydra`.
    """
    # Takes a second: pandas, SciPy and Matplotlib
    from vae.compare import frontier_gaps, write_report, write_tensorboard
    from vae.compare.reading import ComparisonReader
    from vae.compare.terminal import show_comparison

    directory = Path(config.hydra.sweep.dir)
    try:
        comparison = ComparisonReader().read(directory)
    except UserError:
        return  # no run has finished an epoch
    show_comparison(comparison)
    try:
        print(f"report     {write_report(comparison, directory / COMPARISON)}")
        write_tensorboard(comparison, directory / COMPARISON)
        print(f"curves     tensorboard --logdir {shlex.quote(str(directory))}, run {COMPARISON}: the differences")
    except OSError as error:
        print(f"report     not written: {error}")
    if "kl" in comparison.runs and comparison.runs["kl"].nunique() > 1 and frontier_gaps(comparison).empty:
        print(f"frontier   {invocation.call('train')} {shlex.join(frontier_overrides(config))}")
        print(f"           {invocation.call('compare')} {shlex.quote(str(directory))}  # is it the weight or the term?")


def update_comparison(directory: Path) -> None:
    """Bring TensorBoard's comparison of a sweep that is going on up to date, if it is a minute old."""
    with contextlib.suppress(UserError, OSError):  # no run has an epoch, or nothing can be written: the end will say
        times = [path.stat().st_mtime for path in directory.glob("multirun.yaml")]  # when the sweep began
        times += [path.stat().st_mtime for path in (directory / COMPARISON).glob("events.*")]
        if abs(time.time() - max(times, default=0.0)) > _UPDATE_SECONDS:  # or the clock has gone back
            from vae.compare import write_tensorboard  # takes a second, in each process of a launcher
            from vae.compare.reading import ComparisonReader

            write_tensorboard(ComparisonReader().read(directory), directory / COMPARISON)


def frontier_overrides(config: DictConfig, betas: Sequence[float] | None = None) -> list[str]:
    """Return the command line that trains the frontier to which a sweep's terms are compared, with the same seeds.

    Args:
        config: the sweep's own configuration with the node `hydra`.
        betas: the weights; None for those of `experiment=frontier`.
    """
    given = {override.key_or_group: override for override in overrides_of(config)}
    seed = given["seed"].input_line if "seed" in given else f"seed={config.seed}"
    task = as_written(config.hydra.overrides.task)
    others = [
        override.input_line
        for name, override in given.items()
        if name.partition(".")[0] not in _OF_FRONTIER and override.input_line in task
    ]
    weights = [] if betas is None else [f"beta.value={','.join(f'{beta:g}' for beta in betas)}"]
    directory = Path(config.hydra.sweep.dir) / FRONTIER
    return ["-m", "experiment=frontier", *weights, seed, *others, f"hydra.sweep.dir={directory}"]


def train_frontier(config: DictConfig, betas: Sequence[float]) -> bool:
    """Train the frontier of a sweep in a process of its own, by the sweep's launcher; return whether all runs finished.

    Args:
        config: the sweep's own configuration with the node `hydra`.
        betas: the weights of the exact KL.
    """
    of_hydra = as_written(config.hydra.overrides.hydra)
    launcher = [text for text in of_hydra if text.startswith(("hydra/launcher", "hydra.launcher"))]
    overrides = [*frontier_overrides(config, betas), *launcher, "hydra.callbacks.preflight.compares=false"]
    with subprocess.Popen([sys.executable, sys.argv[0], *overrides]) as process:
        try:
            return process.wait() == 0
        except BaseException:  # Ctrl-C, or SIGTERM, which it does not get by itself
            process.terminate()
            process.wait()
            raise
