"""Every writer meets a full or a failing disk: python -m tests.faults.disk FOLDER full|EIO.

FOLDER is the root of a small file system. At a chosen file, "full" fills that file system to the last byte, so that the
kernel refuses what is written next, by Python or by native code; "EIO" lets Python's opening of the file fail. Then
the disk is sound again, and the command goes on to the next file. A line of JSON tells of each file what happened.
"""

import contextlib
import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vae.compare.__main__
from tests.conftest import Outcome, run_here
from tests.faults.intact import damages, differences, untrue_statuses

OPTIONS = ["trainer.epochs=2", "trainer.checkpoint_seconds=0.001", "trainer.engine=keras", "data.take=256"]
OPTIONS += ["model.hidden=[8]", "audit=none"]
#: The files at which the fault begins: when they are opened to be written, or when they have been put in place
TRAINING = {
    "configuration": ("open", r"\.config-\d+\.yaml"),
    "labels": ("open", r"\.labels-\d+\.tsv"),
    "projector": ("os.rename", r"labels\.tsv"),
    "history": ("open", r"history\.csv"),
    "summary": ("os.rename", r"history\.csv"),
    "events": ("os.rename", r"summary\.json"),
    "points": ("open", r"\.posterior_means-\d+\.tsv"),
    "checkpoint": ("open", r"\.step-00000004-\d+\.keras"),
    "model": ("open", r"\.model-\d+\.keras"),
    "picture": ("open", r"\.samples-\d+\.png"),
}
EVALUATION = {"evaluation": ("open", r"\.evaluation-\d+\.json"), "evaluated": ("open", r"\.samples-\d+\.png")}
COMPARISON = {
    "plot": ("open", r"\..*\.svg"),
    "report": ("open", r"\.report-\d+\.html"),
    "curves": ("open", r"\.\d+-\d+"),
}
#: Of files that are reached by what has been put in place before them, the one that Python opens; None for native code
OPENED = {"projector": None, "summary": r"\.summary-\d+\.json", "events": None}
OPENED |= {name: file for name, (event, file) in (TRAINING | EVALUATION | COMPARISON).items() if event == "open"}


class Disk:
    """A file system whose fault begins when a file is reached.

    Args:
        root: the folder where it is mounted.
        kind: "full" or "EIO".
    """

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.kind = root, kind
        self._armed: tuple[str, str] | None = None
        sys.addaudithook(self._hear)

    @contextlib.contextmanager
    def failing_at(self, event: str, name: str) -> Iterator[None]:
        """Let the disk fail once a file is reached, until the end of the block."""
        self._armed, self.has_failed = (event, name), False
        try:
            yield
        finally:
            self._armed = None
            self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.root / "ballast"

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._armed is None or event != self._armed[0]:
            return
        path = arguments[1] if event == "os.rename" else arguments[0]
        reads = event == "open" and str(arguments[1]) in ("r", "rb")
        if reads or not isinstance(path, str | os.PathLike) or not re.fullmatch(self._armed[1], Path(path).name):
            return
        if self.kind == "full":
            self._armed = None
            self._fill()
        elif event == "open":
            self.has_failed = True
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def _fill(self) -> None:
        with self._ballast.open("wb") as file:
            free = os.statvfs(self.root)
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
        self.has_failed = True


def _train(root: Path, run: Path) -> Outcome:
    if (run / ".hydra" / "config.yaml").exists():
        return run_here("train.py", f"resume={run}", cwd=root)
    return run_here("train.py", *OPTIONS, f"hydra.run.dir={run}", cwd=root)


def _evaluate(root: Path, run: Path) -> Outcome:
    return run_here("evaluate.py", f"run={run}", "nll_samples=5", "take=20", cwd=root)


def _compare(root: Path, run: Path) -> Outcome:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = vae.compare.__main__.main([str(run), "--out", str(run / "report"), "--tensorboard"])
    return Outcome(status, out.getvalue(), err.getvalue())


def main(root: Path, kind: str) -> None:
    """Run every command with a fault at every file, one after the other, and in the end without one."""
    disk, whole, run = Disk(root, kind), root / "whole", root / "run"
    _train(root, whole)
    for command, writers in ((_train, TRAINING), (_evaluate, EVALUATION), (_compare, COMPARISON)):
        for name, (event, file) in writers.items():
            place = (event, file) if kind == "full" else ("open", OPENED[name])
            if place[1] is None:
                continue
            with disk.failing_at(*place):
                ended = command(root, run)
                faults = damages(run) + untrue_statuses(run)
            facts = {"name": name, "reached": disk.has_failed, "status": ended.status, "stderr": ended.stderr}
            print(json.dumps({**facts, "faults": faults}), flush=True)
        ended = command(root, run)
        faults = [ended.stderr] if ended.status else damages(run) + differences(run, whole)
        print(json.dumps({"name": f"after {command.__name__}", "faults": faults}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2])
