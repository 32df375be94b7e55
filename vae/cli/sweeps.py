"""Sweeps: the runs of one command, their directories and their outcome."""

import contextlib
import io
import json
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from vae import compat
from vae.cli.arguments import as_written, check_values, named_modules
from vae.cli.errors import one_line_errors, unexpected_error, unwritable
from vae.cli.launchers import check_launcher, share_cores, warn_of_programs
from vae.config.stored import foreign_modules, options_that_differ, plain, stored_config
from vae.errors import UserError
from vae.runs.files import read_json, write_json
from vae.runs.identity import flatten
from vae.runs.lock import LockedError, holder, is_locked
from vae.runs.paths import RunDirectory
from vae.runs.quantities import QUANTITIES, VALIDATION
from vae.runs.summary import Status, is_finished, read_summary

#: Options that a program reads from variables, or not at all. A constant learning rate is a variable as well
_NOT_IN_PROGRAMS = ("seed", "beta.value", "callbacks", "metric")
_LONGEST_NAME = 120  # of the overrides in a directory's name; file systems take 255 characters in all


def is_one_of_several(hydra: DictConfig) -> bool:
    """Return True for a run of a sweep or of a search over trainings."""
    return bool(hydra.mode == RunMode.MULTIRUN and hydra.job.name == "train")


def is_planned(hydra: DictConfig) -> bool:
    """Return True for a run of a sweep whose runs are known beforehand, as those of Hydra's own sweeper are."""
    return is_one_of_several(hydra) and hydra.runtime.choices["hydra/sweeper"] == "basic"


def start_sweep(config: DictConfig) -> list[Path]:
    """Prepare a sweep, and print what it will do.

    Args:
        config: the sweep's own configuration with the node `hydra`, in which the runs' share of the machine is set.

    Returns:
        The directories of its runs, in order.

    Raises:
        UserError: if a run's options are wrong, or its directory holds a run that was trained with others.
    """
    check_launcher(config)
    threads = share_cores(config, len(_combinations(config)))
    config.hydra.overrides.hydra.append("hydra.output_subdir=null")  # begun_run writes it, but over no finished run's
    _name_by_what_differs(config)
    directory = config.hydra.sweep.dir  # its time of day is the one that the runs will find
    runs, left, programs = [], 0, set()
    for path, run in _planned_runs(config):  # one at a time: a composed configuration takes 2 MB
        check_values(run, run.hydra)
        _check_strategy(run)
        runs.append(path)
        finished = is_finished(path)
        if finished or any(path.glob("checkpoints/*.keras")):
            _check_same_options(path, run)
        if not finished:
            left += 1
            programs.add(shared_programs(run, run.hydra) or path)
    print(f"runs: {len(runs)}, already finished: {len(runs) - left}, threads per run: {threads or 'all'}")
    print(f"to continue after a stop: the same command with hydra.sweep.dir={shlex.quote(str(directory))}")
    warn_of_programs(config, len(programs))
    return runs


def start_search(config: DictConfig) -> None:
    """Prepare a search, whose sweeper chooses each run by the results of those before.

    It minimizes the quantities of a run that `metric` names, and maximizes the ELBO.

    Raises:
        UserError: if its directory is not empty, or its options are not those of a run.
    """
    check_values(config, config.hydra)
    check_launcher(config)
    _check_strategy(config)
    directory = Path(config.hydra.sweep.dir)
    if directory.is_dir() and any(directory.iterdir()):
        raise UserError(f"hydra.sweep.dir={directory}: is not empty, and a search starts from nothing")
    runs, at_a_time = (OmegaConf.select(config, f"hydra.sweeper.{name}") or 1 for name in ("n_trials", "n_jobs"))
    print(f"runs: {runs}, threads per run: {share_cores(config, at_a_time) or 'all'}")
    _name_by_what_differs(config)
    metrics = [config.metric] if isinstance(config.metric, str) else config.metric
    directions = ["maximize" if metric == "elbo" else "minimize" for metric in metrics]
    config.hydra.sweeper.direction = directions[0] if isinstance(config.metric, str) else directions
    HydraConfig.instance().set_config(config)  # for the list of failures, if no run finishes


def shared_programs(config: DictConfig, hydra: DictConfig) -> str | None:
    """Return the options on which a run's programs depend, as the key under which runs of a sweep share them.

    None if the run shares none: it is no run of a sweep, it resumes, it is distributed, or classes of the user's, which
    may keep a state of their own, are part of it.

    Args:
        config: the run's configuration.
        hydra: its node `hydra`, which the configuration of a run that has begun does not have.
    """
    alone = not is_one_of_several(hydra) or config.resume or config.trainer.strategy != "single"
    if alone or foreign_modules(config):
        return None
    options = flatten(plain(config))
    return json.dumps(
        {
            name: value
            for name, value in options.items()
            if name != "optimizer.learning_rate" and not name.startswith(_NOT_IN_PROGRAMS)
        }
    )


def betas_of_exact_kl(config: DictConfig) -> list[float]:
    """Return the different weights that a sweep's own runs give the exact KL, which can be points of its frontier.

    Args:
        config: the sweep's own configuration with the node `hydra`.

    Raises:
        UserError: if a run's options are wrong.
    """
    exact = {"_target_": "vae.kl.Analytic", "direction": "forward"}
    betas: dict[float, None] = {}
    for composed in _composed_runs(config):
        check_values(composed, composed.hydra)
        run = plain(composed)
        if run["kl"] == exact and run["beta"].keys() == {"value"}:  # a schedule's other options make another frontier
            betas[run["beta"]["value"]] = None
    return [*betas]


def runs_of_search(directory: Path) -> list[Path]:
    """Return the directories of a search's runs, in the order in which they started."""
    started = {path.parents[1]: path.stat().st_mtime_ns for path in directory.glob("*/.hydra/overrides.yaml")}
    return sorted(started, key=started.__getitem__)


@contextlib.contextmanager
def contained_failure(directory: Path) -> Iterator[None]:
    """Record a failure inside in the run's summary.json, so that it stops no other run of the sweep.

    If the output is no terminal but a file, it gets one line for the run.
    """
    side_by_side = HydraConfig.get().runtime.choices["hydra/launcher"] != "basic"
    with contextlib.ExitStack() as stack:
        if not sys.stdout.isatty():
            stack.enter_context(_one_line(directory))
        elif side_by_side:
            stack.enter_context(contextlib.redirect_stdout(_Labelled(sys.stdout, directory.name)))
        if side_by_side:
            stack.enter_context(contextlib.redirect_stderr(_Labelled(sys.stderr, directory.name)))
        try:
            yield
        except Exception as error:
            message = str(error)
            if not isinstance(error, UserError):
                message = unwritable(error) or unexpected_error(error, directory)
                print(f"{directory}: {message}", file=sys.stderr)
            if not isinstance(error, LockedError):
                _record_failure(RunDirectory(directory).summary, message)


def _record_failure(summary: Path, message: str) -> None:
    """Write the status "failed" unless the run's own record has written how it ended."""
    facts = read_json(summary)
    if facts.get("status") in (None, Status.RUNNING):  # training had not begun
        with contextlib.suppress(OSError):  # of a full disk: without a process, the run counts as interrupted
            write_json(summary, {**facts, "status": Status.FAILED, "error": message})


@contextlib.contextmanager
def _one_line(directory: Path) -> Iterator[None]:
    """Print one line about a run in the place of what it prints."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            yield
    finally:
        epochs = re.findall(r"^epoch (\d+)/(\d+)", shown.getvalue(), re.MULTILINE)
        trained = f"epochs {epochs[0][0]} to {epochs[-1][0]} of {epochs[-1][1]}" if epochs else "no epoch"
        summary = read_summary(directory)
        figures = flatten(summary)  # whatever a summary that is not ours holds
        known = {name: figures.get(f"{VALIDATION}.{name}") for name in ("elbo", "kl")}
        quantities = [
            f"{QUANTITIES[name].title} {value:.2f}" for name, value in known.items() if isinstance(value, int | float)
        ]
        print("  ".join([directory.name, str(summary.get("status", "failed")), trained, *quantities]), flush=True)


def failures(directories: Iterable[Path]) -> list[str]:
    """Return a line for every run that did not finish."""
    summaries = {directory: read_summary(directory) for directory in directories}
    return [
        f"{directory}: {_reason(directory, summary)}"
        for directory, summary in summaries.items()
        if summary.get("status") != Status.FINISHED
    ]


def _reason(directory: Path, summary: Mapping[str, Any]) -> str:
    if is_locked(directory):
        return f"{holder(directory)} still writes to it"
    return str(summary.get("error", "its process died")).partition("\n")[0]


def _check_strategy(run: DictConfig) -> None:
    if run.trainer.strategy == "multi_worker":
        raise UserError("trainer.strategy=multi_worker: is for a single run, not for a sweep")


def _combinations(config: DictConfig) -> list[list[str]]:
    """Return the overrides of every run, in the order in which Hydra's sweeper numbers them."""
    return compat.split_sweep(overrides_of(config))


def overrides_of(config: DictConfig) -> list[Override]:
    """Return the overrides of the sweep as a whole: an experiment's own, then the command line's."""
    own = [f"{name}={value}" for name, value in (config.hydra.sweeper.params or {}).items()]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return parser.parse_overrides([*own, *as_written(config.hydra.overrides.task)])


def _name_by_what_differs(config: DictConfig) -> None:
    """Leave out of the names of a sweep's runs the overrides that all have."""
    swept = {
        override.key_or_group: override.is_sweep_override() for override in overrides_of(config)
    }  # the last counts
    unnamed = sorted(
        {*config.hydra.job.config.override_dirname.exclude_keys} | {name for name in swept if not swept[name]}
    )
    config.hydra.overrides.hydra.append(f"hydra.job.config.override_dirname.exclude_keys={unnamed}")


def _swept(overrides: str) -> str:
    """Return overrides as the end of a directory's name: `beta.value=4` becomes `-beta.value=4`."""
    name = re.sub(r"[^\w.,=-]", "", overrides.replace("/", "-"), flags=re.ASCII)
    return f"-{name[:_LONGEST_NAME]}" if name else ""


OmegaConf.register_new_resolver("swept", _swept, replace=True)  # for hydra.sweep.subdir


def _composed_runs(config: DictConfig) -> Iterator[DictConfig]:
    """Yield the configuration of every run."""
    loader = GlobalHydra.instance().config_loader()
    for overrides in _combinations(config):
        with one_line_errors("train", overrides):
            run = loader.load_sweep_config(config, overrides)
        yield run


def _planned_runs(config: DictConfig) -> Iterator[tuple[Path, DictConfig]]:
    """Yield the directory and the composed configuration of every run."""
    seen: set[Path] = set()
    for number, run in enumerate(_composed_runs(config)):
        with open_dict(run):
            run.hydra.job.num, run.hydra.job.id = number, str(number)
        HydraConfig.instance().set_config(run)  # hydra.sweep.subdir refers to it
        directory = Path(run.hydra.sweep.dir) / str(run.hydra.sweep.subdir)
        if directory in seen:
            raise UserError(f"hydra.sweep.subdir: several runs would share {directory}")
        seen.add(directory)
        yield directory, run


def _check_same_options(directory: Path, run: DictConfig) -> None:
    stored = stored_config(directory, "hydra.sweep.dir", named_modules(as_written(run.hydra.overrides.task)))
    if different := options_that_differ(stored, run):
        raise UserError(
            f"hydra.sweep.dir: {directory} holds a run with another {', '.join(different)}, which is never written over"
        )


class _Labelled(io.TextIOBase):
    """A stream that opens every line with a run's name, for runs that write side by side. It is not a terminal."""

    def __init__(self, stream: TextIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._line = ""

    def write(self, text: str) -> int:
        """Write the lines that are complete."""
        *lines, self._line = (self._line + text).split("\n")
        self._stream.write("".join(f"{self._label}  {line}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()
