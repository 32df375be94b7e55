"""Measure the runs per hour of a sweep of short runs: one at a time, and with Hydra's launchers.

    python benchmarks/sweep.py [--runs 12] [--rounds 1] [--json FILE] [--options trainer.epochs=20 ...]

A run is `train.py` on digits for twenty epochs. The time is that of the whole command, to the end of the last run.
"joblib, all threads" is a bad example: as many runs at a time as there are cores, each with threads for all cores.
Contenders take turns in every round. The table shows medians.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from joblib import cpu_count
from rich.console import Console
from rich.table import Table

TRAIN = Path(__file__).parents[1] / "train.py"
CONTENDERS = {
    "one at a time": ["hydra/launcher=basic"],
    "joblib": ["hydra/launcher=joblib"],
    "joblib, all threads": ["hydra/launcher=joblib", "trainer.threads=null"],
    "submitit_local": ["hydra/launcher=submitit_local"],
    "ray": ["hydra/launcher=ray"],
}


def sweep(runs: int, options: list[str]) -> float:
    """Run a sweep and return the seconds that it takes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(TRAIN), "-m", f"seed=range({runs})", "hydra.sweep.dir=sweep", *options]
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        return time.perf_counter() - began


def main() -> None:
    """Measure, print the table and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--options", nargs="+", default=["trainer.epochs=20"], metavar="NAME=VALUE")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    measured: dict[str, list[float]] = {name: [] for name in arguments.contenders}
    for _ in range(arguments.rounds):
        for name, values in measured.items():
            values.append(sweep(arguments.runs, [*CONTENDERS[name], *arguments.options]))
    title = f"a sweep of {arguments.runs} runs, {' '.join(arguments.options)}, {cpu_count()} cores"
    table = Table("launcher", "runs per hour", "relative to the first", "seconds", title=title)
    figures = []
    for name, values in measured.items():
        seconds = statistics.median(values)
        rate = 3600 * arguments.runs / seconds
        figures.append({"launcher": name, "runs_per_hour": rate, "seconds": seconds})
        table.add_row(name, f"{rate:.0f}", f"{rate / figures[0]['runs_per_hour']:.2f} times", f"{seconds:.0f}")
    Console().print(table)
    if arguments.json:
        facts = {"cores": cpu_count(), "runs": arguments.runs, "options": arguments.options, "figures": figures}
        arguments.json.write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
