"""Measure what a sweep of many tiny runs leaves behind, and whether the cost of an epoch grows with their number.

    python benchmarks/load.py [--runs 500] [--sizes 40] [--epochs 5000] [--json FILE]

The runs are those of one `train.py -m`, in one process: one epoch of a tiny network on 256 images. After every run the
process says what it holds: its resident set, open files, threads and objects. The slopes are least-squares fits to the
second half of the runs, by which TensorFlow's own pools have filled. The runs of the first sweep are of many seeds and
share their programs. Those of the second are of many numbers of latent variables, so that each has its own; programs
are kept for the last eight.

The epochs are those of one run of the same network. Seconds are medians and tenth percentiles of the first and the
last tenth of the epochs, from history.csv. The memory is read from outside once a second; its growth is over the second
half.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from footprint import held_by
from rich.console import Console
from rich.table import Table

from vae.sharing import LIMIT

TRAIN = Path(__file__).parents[1] / "train.py"
UNDISTURBED = 0.1  # the share of the epochs, the fastest ones, that other work on the machine did not slow
FEWEST = LIMIT + 3  # runs or epochs of which a slope says anything: of runs, two after programs were given up
TINY = ["data.take=256", "model.hidden=[16]"]
HELD = {"mebibytes": "MiB", "files": "open files", "threads": "threads", "objects": "objects of Python"}


def held_after_runs(folder: Path, swept: str) -> list[dict[str, float]]:
    """Return what the process of a sweep over the values of an option holds after each run."""
    path = folder / "footprint.jsonl"
    path.unlink(missing_ok=True)
    watch = ["+hydra.callbacks.footprint._target_=footprint.Footprint", f"+hydra.callbacks.footprint.path={path}"]
    sweep = ["-m", "latent.size=2", swept, "trainer.epochs=1", f"hydra.sweep.dir={folder / swept}"]
    sweep += ["hydra.callbacks.preflight.compares=false"]  # which loads thousands of objects once, after a minute
    modules = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, TRAIN, *sweep, *TINY, *watch],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": modules},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return [json.loads(line) for line in path.read_text().splitlines()]


def sweep_figures(held: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the last values and the slopes, per run, of what a process held.

    The slopes are over the second half of the runs, or over those after programs were given up, if these are fewer.
    """
    late = held[max(len(held) // 2, LIMIT + 1) :]
    slopes = {f"{name}_per_run": slope_of([values[name] for values in late]) for name in HELD}
    return {"runs": len(held), **held[-1], **slopes}


def epoch_figures(folder: Path, epochs: int) -> dict[str, float]:
    """Train for so many epochs, and return the cost of the first and of the last ones."""
    run = folder / "run"
    process = subprocess.Popen(
        [sys.executable, TRAIN, "latent.size=2", f"trainer.epochs={epochs}", *TINY, f"hydra.run.dir={run}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    memory = []
    while process.poll() is None:
        memory.append(held_by(process.pid)["mebibytes"])
        time.sleep(1)
    if process.returncode:
        raise SystemExit(f"train.py: ended with status {process.returncode}")
    with (run / "history.csv").open(newline="") as file:
        seconds = np.diff([float(row["seconds"]) for row in csv.DictReader(file)])
    part, late = max(epochs // 10, 1), [value for value in memory[len(memory) // 2 : -1] if value]  # 0 as it ends
    return {
        "epochs": epochs,
        "milliseconds_first": 1000 * float(np.median(seconds[:part])),
        "milliseconds_last": 1000 * float(np.median(seconds[-part:])),
        "undisturbed_first": 1000 * float(np.quantile(seconds[:part], UNDISTURBED)),
        "undisturbed_last": 1000 * float(np.quantile(seconds[-part:], UNDISTURBED)),
        "mebibytes": late[-1],
        "mebibytes_grown": slope_of(late) * len(late),
    }


def slope_of(values: Sequence[float]) -> float:
    """Return the least-squares slope of values against their place."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def main() -> None:
    """Measure, print the tables and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500, help="0 for none")
    parser.add_argument("--sizes", type=int, default=40, help="runs whose programs are their own; 0 for none")
    parser.add_argument("--epochs", type=int, default=5000, help="0 for none")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for option in ("runs", "sizes", "epochs"):
        number = getattr(arguments, option)
        if number and number < FEWEST:
            parser.error(f"--{option} {number}: must be {FEWEST} or more, for a slope, or 0 for none")

    console, figures = Console(), {}
    with tempfile.TemporaryDirectory() as name:
        sweeps = {
            "sweep": (arguments.runs, f"seed=range({arguments.runs})"),
            "sizes": (arguments.sizes, f"latent.size=range(1,{arguments.sizes + 1})"),
        }
        for kind, (runs, swept) in sweeps.items():
            if not runs:
                continue
            figures[kind] = found = sweep_figures(held_after_runs(Path(name), swept))
            table = Table("after the last run", "", "a run", title=f"{swept}, {os.cpu_count()} cores")
            for held, unit in HELD.items():
                table.add_row(unit, f"{found[held]:,.0f}", f"{found[f'{held}_per_run']:+.4f}")
            console.print(table)
        if arguments.epochs:
            figures["epochs"] = found = epoch_figures(Path(name), arguments.epochs)
            table = Table("cost of an epoch", "", title=f"{arguments.epochs:,} epochs, {os.cpu_count()} cores")
            for name in ("first", "last"):
                fast, median = found[f"undisturbed_{name}"], found[f"milliseconds_{name}"]
                table.add_row(f"{name} tenth, ms: median, tenth percentile", f"{median:.1f}, {fast:.1f}")
            table.add_row("memory at the end, MiB", f"{found['mebibytes']:,.0f}")
            table.add_row("grown over the second half, MiB", f"{found['mebibytes_grown']:+.1f}")
            console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), **figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
