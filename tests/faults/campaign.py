"""Commands killed at random moments: python -m tests.faults.campaign --seed 0 --moments 50.

Each command is killed by SIGKILL and started again until it has been killed often enough. After each kill, every file
must be whole and no run may have the status "running". A command that finishes must have written the same bits as one
that was never killed. The seed chooses each moment: a number of seconds after the start, or just after a file changes.
Half of the kills of a sweep hit its first process only, the other half all of its processes.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from tests.faults.intact import damages, differences, untrue_statuses
from vae.runs.summary import is_finished

REPOSITORY = Path(__file__).parents[2]
TRAIN = [sys.executable, str(REPOSITORY / "train.py")]
EVALUATE = [sys.executable, str(REPOSITORY / "evaluate.py")]
COMPARE = [sys.executable, "-m", "vae.compare"]
OPTIONS = ["trainer.epochs=8", "trainer.checkpoint_seconds=0.05", "data.take=256", "model.hidden=[16]", "latent.size=4"]
QUICK = ["trainer.engine=keras", "audit=none"]
Moment = Callable[[float, int], bool]  # of the seconds since the start and the changes of files
ORPHANS_SECONDS = 5.0
_POLL = 0.003


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Args:
        arguments: the arguments, given the folder that it writes to.
        prepare: prepares an empty folder for the first start.
        faults: what an undisturbed end must have made and did not, given its folder and that of the undisturbed one.
    """

    arguments: Callable[[Path], list[str]]
    prepare: Callable[[Path], None]
    faults: Callable[[Path, Path], list[str]]


def _same(name: str) -> Callable[[Path, Path], list[str]]:
    def faults(folder: Path, whole: Path) -> list[str]:
        left, right = (json.loads((directory / name).read_text()) for directory in (folder, whole))
        return [] if left == right else [f"{folder / name}: differs"]

    return faults


def _training(folder: Path) -> list[str]:
    if is_finished(folder):  # it was killed when nothing was left to do
        return [sys.executable, "-c", ""]
    if (folder / ".hydra" / "config.yaml").exists():
        return [*TRAIN, f"resume={folder}"]
    return [*TRAIN, *OPTIONS, f"hydra.run.dir={folder}"]


def _sweep(launcher: str) -> Command:
    arguments = ["-m", *OPTIONS, *QUICK, "seed=0,1", f"hydra/launcher={launcher}", "trainer.threads=1"]
    return Command(
        arguments=lambda folder: [*TRAIN, *arguments, f"hydra.sweep.dir={folder}"],
        prepare=lambda folder: None,
        faults=lambda folder, whole: [
            fault for run in ("0-analytic-0", "1-analytic-1") for fault in differences(folder / run, whole / run)
        ],
    )


@contextlib.contextmanager
def commands(folder: Path) -> Iterator[dict[str, Command]]:
    """The commands to kill, by name, after a small run has been trained that they read."""
    trained = folder / "trained"
    subprocess.run([*TRAIN, *OPTIONS, *QUICK, f"hydra.run.dir={trained}"], check=True, capture_output=True, cwd=folder)

    def copy(directory: Path) -> None:
        shutil.copytree(trained, directory)

    yield {
        "training": Command(_training, lambda directory: None, differences),
        "evaluation": Command(
            lambda directory: [*EVALUATE, f"run={directory}", "nll_samples=20", "take=100"],
            copy,
            lambda directory, whole: _same("evaluation.json")(directory, whole) + differences(directory, trained),
        ),
        "comparison": Command(
            lambda directory: [*COMPARE, str(directory), "--out", str(directory / "report"), "--tensorboard"],
            lambda directory: copy(directory / "run"),
            lambda directory, whole: [] if (directory / "report" / "report.html").exists() else ["no report"],
        ),
        "sweep": _sweep("basic"),
        "sweep of joblib": _sweep("joblib"),
    }


def _signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes whenever a file below a folder does."""
    found = []
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(os.path.join(directory, name))  # noqa: PTH116, PTH118  (hundreds of times a second)
                found.append((name, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))


def _start(command: Command, folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with _errors(folder).open("w") as stderr:
        return subprocess.Popen(
            command.arguments(folder),
            cwd=folder.parent,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )


def _errors(folder: Path) -> Path:
    """The file of what the latest command on a folder has said on stderr."""
    return folder.with_name(f"{folder.name}.stderr")


def _watched(
    command: Command, folder: Path, until: Callable[[float, int], bool]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command, and return it at a moment, or once it has ended, with the changes of files so far."""
    process, start = _start(command, folder), time.monotonic()
    changes, before = 0, _signature(folder)
    while process.poll() is None and not until(time.monotonic() - start, changes):
        if (now := _signature(folder)) != before:
            changes, before = changes + 1, now
        time.sleep(_POLL)
    return process, changes


def _end(process: subprocess.Popen[bytes], group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _end_orphans(process: subprocess.Popen[bytes]) -> None:
    """Let the processes that outlive the first one go on for a while, then kill them, and wait until all have ended."""
    deadline = time.monotonic() + ORPHANS_SECONDS
    with contextlib.suppress(ProcessLookupError):
        while True:
            os.killpg(process.pid, 0 if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.05)


class Torment:
    """A command that is killed at random moments, and what was found wrong.

    Args:
        name: the name of the command.
        command: the command.
        folder: a folder for what it writes.
        seed: the seed of the moments.
        say: prints a line.
    """

    def __init__(
        self, name: str, command: Command, folder: Path, seed: int, say: Callable[[str], None] = print
    ) -> None:
        self.name, self.command, self.say = name, command, say
        self.draw = random.Random(f"{name} {seed}")
        self.folder = folder / name.replace(" ", "-")
        self.folder.mkdir()
        self.whole = self.folder / "whole"
        self.found: list[str] = []
        command.prepare(self.whole)
        begun = time.monotonic()
        process, self.changes = _watched(command, self.whole, lambda seconds, changes: False)
        self.seconds = time.monotonic() - begun
        assert process.returncode == 0, _errors(self.whole).read_text()
        say(f"{name}: undisturbed {self.seconds:.1f} s, {self.changes} changes of files")

    def kill(self, kills: int) -> None:
        """Kill the command so many times, and let it come to its end after the last one."""
        done = 0
        for number in itertools.count():
            folder = self.folder / str(number)
            self.command.prepare(folder)
            before = done
            while done < kills and self._killed(folder, f"{done + 1}/{kills}"):
                done += 1
            if done == kills:
                process, _ = _watched(self.command, folder, lambda seconds, changes: False)
                self._judge(folder, process)
            self.say(f"{self.name}: came to its end after {done - before} kills")
            if done == kills:
                return

    def _killed(self, folder: Path, count: str) -> bool:
        """Start the command and kill it at a moment; return False if it came to its end before."""
        group, is_timed, delay = self.draw.random() < 0.5, self.draw.random() < 0.4, self.draw.uniform(0, 0.03)
        moment = self.draw.uniform(0, self.seconds) if is_timed else self.draw.randint(1, max(1, self.changes))
        process, _ = _watched(
            self.command, folder, lambda seconds, changes: (seconds if is_timed else changes) >= moment
        )
        if process.poll() is not None:
            self._judge(folder, process)
            return False
        time.sleep(delay)
        _end(process, group)
        victims = "all processes" if group else "first process"
        at = f"{moment:.2f} s" if is_timed else f"{delay * 1000:.0f} ms after change {moment} of about {self.changes}"
        faults = damages(folder)
        _end_orphans(process)
        faults += damages(folder) + untrue_statuses(folder)
        self._note(f"kill {count}, {victims}, {at}", faults, "intact")
        return True

    def _judge(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        """Compare what a command has made that came to its end with what an undisturbed one makes."""
        faults = [f"status {process.returncode}: {_errors(folder).read_text().strip()}"] if process.returncode else []
        faults = faults or damages(folder) + untrue_statuses(folder) + self.command.faults(folder, self.whole)
        self._note("end", faults, "the same bits")

    def _note(self, event: str, faults: list[str], good: str) -> None:
        self.say(f"{self.name}: {event}: {'; '.join(faults) or good}")
        self.found += [f"{self.name}: {event}: {fault}" for fault in faults]


def main() -> int:
    """Run the campaign and return its exit status."""
    parser = argparse.ArgumentParser("python -m tests.faults.campaign", description="Kill commands at random moments.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--moments", type=int, default=50, help="kills of each command")
    parser.add_argument("--only", nargs="+", metavar="COMMAND", help="training, evaluation, comparison, sweep, ...")
    options = parser.parse_args()
    found: list[str] = []
    with tempfile.TemporaryDirectory() as name, commands(Path(name)) as killed, Progress() as progress:
        chosen = {key: command for key, command in killed.items() if not options.only or key in options.only}
        for key, command in progress.track(chosen.items(), description="commands"):
            torment = Torment(key, command, Path(name), options.seed, progress.console.print)
            torment.kill(options.moments)
            found += torment.found
    print("\n".join(found) or "nothing was lost")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
