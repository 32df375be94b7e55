"""The record of a run: its summary, its history, and the callbacks that keep them up to date."""

import bisect
import contextlib
import math
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

import vae
from vae import invocation
from vae.distributed.strategies import WorkerLostError
from vae.errors import INTERRUPTED_STATUS, NonFiniteError, RunError
from vae.runs.files import disk_problem, write_json
from vae.runs.history import HistoryWriter
from vae.runs.lock import locked
from vae.runs.paths import RunDirectory
from vae.runs.quantities import AUDIT, TRAIN, VALIDATION, QuantityName, by_split, history_columns
from vae.runs.summary import Status
from vae.training.signals import sigterm_as_interrupt


class RunRecord:
    """The summary of a run, kept in summary.json: what the run is, how far it came and how it ended.

    A context manager around the whole run, which locks the directory. The status is "running" inside, and afterwards
    "finished", "interrupted", "diverged" or "failed".

    Args:
        directory: the run's directory.
        writes: False for a worker that is not the chief. It writes nothing.
        trust: modules of a user's classes in the run, which a resume has to be told to trust.
        facts: facts that do not change while the run is going: seed, kl, ...
    """

    def __init__(
        self, directory: "str | os.PathLike[str]", writes: bool = True, trust: Sequence[str] = (), **facts: Any
    ) -> None:
        self.directory = RunDirectory(directory)
        self.writes = writes
        self._trust = trust
        self.summary: dict[str, Any] = {"status": Status.RUNNING, **facts, "versions": _versions()}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            if self.writes:
                stack.enter_context(locked(self.directory))
            self._interruption = stack.enter_context(contextlib.ExitStack())
            self._interruption.enter_context(sigterm_as_interrupt())
            self.update()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._interruption.__exit__(kind, error, traceback)
        with self._stack:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        """Write how the run ended, and say so."""
        if error is None:
            self.update(status=Status.FINISHED)
        elif isinstance(error, KeyboardInterrupt):
            self.update(status=Status.INTERRUPTED)
            print(f"\nInterrupted. To resume: {self._resume_command}", file=sys.stderr)
            sys.exit(INTERRUPTED_STATUS)
        elif isinstance(error, WorkerLostError):
            self.update(status=Status.INTERRUPTED, error=str(error))
            raise RunError(f"{error}. To resume, on all workers: {self._resume_command}") from error
        elif isinstance(error, NonFiniteError):
            self.update(status=Status.DIVERGED, error=str(error), **error.facts)
        elif problem := disk_problem(error):
            with contextlib.suppress(OSError):
                self.update(status=Status.FAILED, error=problem)
            raise RunError(
                f"{self.directory}: cannot be written ({problem}); the files saved so far are complete. "
                f"To resume once this is solved: {self._resume_command}"
            ) from error
        else:
            self.update(status=Status.FAILED, error=f"{type(error).__name__}: {error}")

    @property
    def _resume_command(self) -> str:
        directory = shlex.quote(str(self.directory)) if self.writes else "RUN_DIR"
        command = f"{invocation.call('train')} resume={directory}"
        return f"{command} trust=[{','.join(self._trust)}]" if self._trust else command

    def validation_values(self, names: str | Sequence[str]) -> float | list[float]:
        """Return one quantity of the validation split after the last epoch, or several."""
        values = self.summary[VALIDATION]
        return values[names] if isinstance(names, str) else [values[name] for name in names]

    def update(self, **facts: Any) -> None:
        """Add facts to the summary and write it."""
        self.summary |= facts
        if self.writes:
            write_json(self.directory.summary, self.summary)


class OptimizationQuantities(keras.callbacks.Callback):
    """Adds to the logs of an epoch: learning rate, beta, effective beta, temperature and steps per second.

    Args:
        scale: the ratio of the trained term, before beta, to the canonical KL; None if it is no multiple of the KL, so
            that there is no effective beta.
    """

    def __init__(self, scale: float | None) -> None:
        super().__init__()
        self._scale = math.nan if scale is None else scale

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()
        self._end: float | None = None
        self._steps_before = int(self.model.batches_seen.numpy())

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stop the clock: validation does not count as training."""
        self._end = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Add the quantities to the logs."""
        assert logs is not None
        beta = float(self.model.current_beta())
        if temperature := self.model.latent.schedule():
            logs["temperature"] = float(temperature(self.model.batches_seen))
        seconds = (self._end or time.perf_counter()) - self._start
        logs |= {
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "beta": beta,
            "effective_beta": beta * self._scale,
            "steps_per_second": (int(self.model.batches_seen.numpy()) - self._steps_before) / seconds,
        }


class EpochRecorder(keras.callbacks.Callback):
    """Adds each epoch to history.csv and to the summary.

    It comes after the callbacks that add to the logs.

    Args:
        record: the run's record.

    Raises:
        NonFiniteError: if a validation quantity of an epoch is not finite. That epoch is not recorded.
    """

    def __init__(self, record: RunRecord) -> None:
        super().__init__()
        self._record = record

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Start the clock. The history of a resumed run is kept up to the step at which it resumes."""
        self._history = HistoryWriter(self._record.directory.history, int(self.model.batches_seen.numpy()))
        self._first: dict[str, Any] = {}
        self._latest: dict[str, Any] = {}
        self._speeds: list[float] = []
        for row in self._history.kept:
            self._add(row)
        self._start = time.perf_counter() - self._latest.get("seconds", 0.0)
        if self._latest:
            self._summarize()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Record the epoch."""
        columns = history_columns(logs or {})
        for name, value in by_split(columns)[VALIDATION].items():
            if not np.isfinite(value):
                advice = "try a smaller optimizer.learning_rate"
                raise NonFiniteError(f"{VALIDATION}/{name} became {value} in epoch {epoch + 1}; {advice}")
        seconds = round(time.perf_counter() - self._start, 3)
        step = int(self.model.batches_seen.numpy())
        row = {"epoch": epoch + 1, "step": step, "seconds": seconds, **columns}
        self._history.append(row)
        self._add(row)
        self._summarize()

    def _add(self, row: Mapping[str, Any]) -> None:
        """Remember what the summary needs of a row: the first one, each quantity's latest value, and the speed."""
        self._first = self._first or dict(row)
        if QuantityName(AUDIT, "local_weight").column in row:  # then an empty cell says that there is none
            self._latest[QuantityName(TRAIN, "effective_beta").column] = math.nan
        self._latest |= row
        if (
            speed := row.get(QuantityName(TRAIN, "steps_per_second").column)
        ) is not None:  # a history may be a stranger's
            bisect.insort(self._speeds, speed)

    def _summarize(self) -> None:
        first, latest = self._first, self._latest
        profile = [QuantityName(AUDIT, name) for name in ("local_weight", "residual_share")]
        self._record.update(
            effective_beta=latest.get(QuantityName(TRAIN, "effective_beta").column, math.nan),
            epochs=latest["epoch"],
            steps=latest["step"],
            steps_per_second=statistics.median(self._speeds) if self._speeds else math.nan,
            early={"epoch": first["epoch"], **{name.within_split: first.get(name.column) for name in profile}},
            **by_split(latest),
        )


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "vae": vae.__version__,
    }
