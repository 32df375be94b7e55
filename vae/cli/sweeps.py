"""Sweeps: the runs that a command means, how they share the cores, and what became of each."""

import contextlib
import io
import re
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from vae.config.check import differing, run_configuration, run_summary, train_settings
from vae.errors import UserError
from vae.runs.files import write_json

#: By which option a launcher learns how many runs go at a time, or how many cores a run takes
_RUNS_AT_A_TIME = {"joblib": "hydra.launcher.n_jobs", "submitit_local": "hydra.sweeper.max_batch_size"}
_THREADS_A_RUN = {"ray": "hydra.launcher.ray.remote.num_cpus", "submitit_slurm": "hydra.launcher.cpus_per_task"}
#: What a launcher's own defaults would do to a sweep of trainings, put right where the user chose nothing
_DEFAULTS: dict[str, dict[str, Any]] = {
    "joblib": {"hydra.launcher.batch_size": "1"},  # finished runs, which end at once, would make it hand out several
    "submitit_local": {"hydra.launcher.timeout_min": 525_600},  # a year; its own hour would end a longer run
}
_LONGEST_NAME = 120  # of the overrides in a directory's name; file systems take 255 characters in all


def is_swept(hydra: DictConfig) -> bool:
    """Whether a run is one of several trainings, of a sweep or of a search."""
    return bool(hydra.mode == RunMode.MULTIRUN and hydra.job.name == "train")


def is_planned(hydra: DictConfig) -> bool:
    """Whether a run is one of a sweep whose runs are known beforehand, as those of Hydra's own sweeper are."""
    return is_swept(hydra) and hydra.runtime.choices["hydra/sweeper"] == "basic"


def start_sweep(config: DictConfig) -> list[Path]:
    """Prepares a sweep, and says what it will do.

    Args:
        config: the sweep's own, with the node `hydra`; how the runs share the machine is set in it.

    Returns:
        The directories of its runs, in order.

    Raises:
        UserError: where a run that was trained before, with other options, is in the way.
    """
    _check_launcher(config)
    threads = share_cores(config, len(_combinations(config)))
    config.hydra.overrides.hydra.append("hydra.output_subdir=null")  # begin_run writes it, but over no finished run's
    _name_by_what_differs(config)
    directory = config.hydra.sweep.dir  # its time of day is the one that the runs will find
    runs = dict(_planned_runs(config))
    for path, run in runs.items():
        _check_strategy(run)
        _check_directory(path, run)
    finished = sum(is_finished(path) for path in runs)
    print(f"runs: {len(runs)}, finished already: {finished}, threads a run: {threads or 'all'}")
    print(f"to go on after a stop: the same command with hydra.sweep.dir={shlex.quote(str(directory))}")
    return list(runs)


def start_search(config: DictConfig) -> None:
    """Prepares a search, whose sweeper chooses each run by what came of those before.

    What it is told of a run (`metric`) it minimises, but the ELBO.

    Raises:
        UserError: where its directory is not empty, or its options are no run's.
    """
    settings = train_settings(config)
    _check_launcher(config)
    _check_strategy(config)
    directory = Path(config.hydra.sweep.dir)
    if directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"hydra.sweep.dir={directory}: is not empty, and a search begins anew")
    runs, at_a_time = (OmegaConf.select(config, f"hydra.sweeper.{name}") or 1 for name in ("n_trials", "n_jobs"))
    print(f"runs: {runs}, threads a run: {share_cores(config, at_a_time) or 'all'}")
    _name_by_what_differs(config)
    metrics = [settings.metric] if isinstance(settings.metric, str) else settings.metric
    directions = ["maximize" if metric == "elbo" else "minimize" for metric in metrics]
    config.hydra.sweeper.direction = directions[0] if isinstance(settings.metric, str) else directions
    HydraConfig.instance().set_config(config)  # for failures, should there be nothing else


def searched(directory: Path) -> list[Path]:
    """The directories of a search's runs, in order."""
    begun = {path.parents[1]: path.stat().st_mtime_ns for path in directory.glob("*/.hydra/overrides.yaml")}
    return sorted(begun, key=begun.__getitem__)


def begin_run(config: DictConfig) -> None:
    """In a run's own process: leaves its configuration in its directory, as Hydra does, unless it is finished."""
    directory = Path(config.hydra.runtime.output_dir)
    if is_finished(directory):
        return
    (directory / "summary.json").unlink(missing_ok=True)  # of how it ended before
    (directory / ".hydra").mkdir(exist_ok=True)
    parts = {
        "config": OmegaConf.masked_copy(config, [str(name) for name in config if name != "hydra"]),
        "hydra": OmegaConf.masked_copy(config, "hydra"),
        "overrides": config.hydra.overrides.task,
    }
    for name, part in parts.items():
        OmegaConf.save(part, directory / ".hydra" / f"{name}.yaml")


@contextlib.contextmanager
def one_of_many(directory: Path) -> Iterator[None]:
    """Around a run of a sweep: its failure is written into summary.json and stops no other run."""
    with contextlib.ExitStack() as stack:
        if HydraConfig.get().runtime.choices["hydra/launcher"] != "basic":
            stack.enter_context(contextlib.redirect_stdout(_Labelled(sys.stdout, directory.name)))
            stack.enter_context(contextlib.redirect_stderr(_Labelled(sys.stderr, directory.name)))
        try:
            yield
        except Exception as error:
            message = str(error)
            if not isinstance(error, UserError):
                traceback.print_exc()
                message = f"{type(error).__name__}: {message}"
            if not (directory / "summary.json").exists():  # training had not begun
                write_json(directory / "summary.json", {"status": "failed", "error": message})


def is_finished(directory: Path) -> bool:
    """Whether a directory holds a run that came to its end."""
    return run_summary(directory).get("status") == "finished"


def is_done(directory: Path) -> bool:
    """Whether a run has nothing left to do: one that a sweep, started again, finds finished."""
    return is_planned(HydraConfig.get()) and is_finished(directory)


def failures(directories: Iterable[Path]) -> list[str]:
    """A line for every run that did not come to its end."""
    summaries = {directory: run_summary(directory) for directory in directories}
    return [
        f"{directory}: {str(summary.get('error', 'its process died')).splitlines()[0]}"
        for directory, summary in summaries.items()
        if summary.get("status") != "finished"
    ]


def show_sweep(directory: Path) -> None:
    """Prints how the runs of a sweep compare, and writes the report beside them."""
    from vae.compare import compare, load_runs, write_report  # takes a second: pandas and matplotlib
    from vae.compare.terminal import show_comparison

    try:
        runs = load_runs(directory)
    except UserError:
        return  # no run came so far as to say anything
    show_comparison(runs, compare(runs))
    try:
        print(f"report     {write_report(runs, directory / 'comparison')}")
    except OSError as error:
        print(f"report     not written: {error}")


def _check_launcher(config: DictConfig) -> None:
    if config.hydra.runtime.choices["hydra/launcher"] == "submitit_slurm" and not shutil.which("srun"):
        raise UserError("hydra/launcher=submitit_slurm: needs a machine of a Slurm cluster; here is no srun")


def _check_strategy(run: DictConfig) -> None:
    if run.trainer.strategy == "multi_worker":
        raise UserError("trainer.strategy=multi_worker: is for a single run, not for one of a sweep")


def _combinations(config: DictConfig) -> list[list[str]]:
    """The overrides of every run, in the order in which Hydra's sweeper numbers them."""
    (combinations,) = BasicSweeper.split_arguments(_overrides(config), max_batch_size=None)
    return combinations


def _overrides(config: DictConfig) -> list[Override]:
    """Those of the sweep as a whole: an experiment's own and the command line's."""
    own = [f"{name}={value}" for name, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return parser.parse_overrides([*own, *config.hydra.overrides.task])


def _name_by_what_differs(config: DictConfig) -> None:
    """Leaves out of the names of a sweep's runs what is the same for all."""
    swept = {override.key_or_group: override.is_sweep_override() for override in _overrides(config)}  # the last counts
    unnamed = sorted(
        {*config.hydra.job.config.override_dirname.exclude_keys} | {name for name in swept if not swept[name]}
    )
    config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys={unnamed}")


def _swept(overrides: str) -> str:
    """Overrides as the end of a directory's name: `beta.value=4` becomes `-beta.value=4`, and nothing nothing."""
    name = re.sub(r"[^\w.,=-]", "", overrides.replace("/", "-"), flags=re.ASCII)
    return f"-{name[:_LONGEST_NAME]}" if name else ""


OmegaConf.register_new_resolver("swept", _swept, replace=True)  # for hydra.sweep.subdir


def _planned_runs(config: DictConfig) -> Iterator[tuple[Path, DictConfig]]:
    """The directory and the composed configuration of every run."""
    seen: set[Path] = set()
    loader = GlobalHydra.instance().config_loader()
    for number, overrides in enumerate(_combinations(config)):
        run = loader.load_sweep_config(config, overrides)
        with open_dict(run):
            run.hydra.job.num, run.hydra.job.id = number, str(number)
        HydraConfig.instance().set_config(run)  # hydra.sweep.subdir refers to it
        directory = Path(run.hydra.sweep.dir) / str(run.hydra.sweep.subdir)
        if directory in seen:
            raise UserError(f"hydra.sweep.subdir: would be {directory} for several runs")
        seen.add(directory)
        yield directory, run


def _check_directory(directory: Path, run: DictConfig) -> None:
    if not is_finished(directory) and not any(directory.glob("checkpoints/*.keras")):
        return  # there is nothing to lose
    before = run_configuration(directory, "hydra.sweep.dir")
    if different := differing(before, run):
        raise UserError(
            f"hydra.sweep.dir: {directory} holds a run with another {', '.join(different)}, which is never written over"
        )


def share_cores(config: DictConfig, count: int) -> int | None:
    """Lets as many of `count` runs go at a time as there are cores for; returns how many threads each has.

    What the user chose stays: the launcher's own options and `trainer.threads`.
    """
    from joblib import cpu_count, effective_n_jobs  # which know of affinity and containers

    launcher, cores = config.hydra.runtime.choices["hydra/launcher"], cpu_count()
    overrides = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
    chosen = {override.partition("=")[0].lstrip("+") for override in overrides}
    for name, value in _DEFAULTS.get(launcher, {}).items():
        if name not in chosen:
            OmegaConf.update(config, name, value)
    threads = config.trainer.threads
    if threads is None and "trainer.threads" in chosen:  # swept, or all for every run: the user's own affair
        return None
    if launcher in _RUNS_AT_A_TIME:
        option = _RUNS_AT_A_TIME[launcher]
        limit = OmegaConf.select(config, option)
        at_a_time = cores // (threads or 1) if limit in (None, -1) else effective_n_jobs(limit)
        at_a_time = max(1, min(at_a_time, count))
        OmegaConf.update(config, option, at_a_time)
        threads = threads or max(1, cores // at_a_time)
    elif launcher in _THREADS_A_RUN:
        option = _THREADS_A_RUN[launcher]
        share = max(1, cores // count) if launcher == "ray" else None  # Slurm's machines are others than this one
        threads = threads or OmegaConf.select(config, option) or share
        OmegaConf.update(config, option, threads, force_add=True)
    if threads and config.trainer.threads is None:
        config.hydra.overrides.task.append(f"trainer.threads={threads}")  # and so it stands in every run's .hydra/
    return threads


class _Labelled(io.TextIOBase):
    """A stream that begins every line with a run's name, for runs that write side by side. It is no terminal."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._line = ""

    def write(self, text: str) -> int:
        """Passes on what lines are whole."""
        *lines, self._line = (self._line + text).split("\n")
        self._stream.write("".join(f"{self._label}  {line}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()
