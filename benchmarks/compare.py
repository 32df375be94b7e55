"""Time that `vae.compare` takes for many runs.

    python benchmarks/compare.py [--runs 2000] [--epochs 10] [--configurations 4] [--rounds 3] [--json FILE]

One real run of `train.py` is trained, and the files that a comparison reads are copied, under so many configurations
and a new seed for each copy of one; the validation figures of each copy differ. Each round is a process of its own; the
table has the medians. The disk is warm. "CPU" is the time that the process computed, which other work on the machine
changes less.

"tab, opened" is what TensorBoard's tab takes to answer for the first time, with another loading of the runs; "tab,
another choice" is the answer for another quantity; "tab, unchanged" is its look whether a run has changed; "tab, a new
run" is the answer after one more has appeared. "command" is all of `python -m vae.compare DIR --out DIR`.
"""

import argparse
import csv
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TIMED = """
import json, shutil, sys, time
from pathlib import Path

seconds = {}

def timed(stage, function, *arguments, **options):
    start = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    seconds[stage] = time.perf_counter() - start[0], time.process_time() - start[1]
    return result

def load():
    from vae.compare import compare, differences, load_runs  # names are resolved on first use
    return compare, differences, load_runs

compare, differences, load_runs = timed("import", load)
runs = timed("load_runs", load_runs, sys.argv[1])
timed("compare", compare, runs)
timed("differences", differences, runs)

from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client
from vae.compare.plugin import ComparisonPlugin

ask = Client(ComparisonPlugin(TBContext(logdir=sys.argv[1])).get_plugin_apps()["/comparison"]).get
for stage, query in (("opened", {}), ("another choice", {"quantity": "kl"}), ("unchanged", {})):
    assert timed(f"tab, {stage}", ask, "/", query_string=query).status_code == 200
shutil.copytree(next(Path(sys.argv[1]).iterdir()), Path(sys.argv[1], "new"))
assert timed("tab, a new run", ask, "/").status_code == 200
print(json.dumps(seconds))
assert "tensorflow" not in sys.modules
"""


def main() -> None:
    """Measure, print the table and, if asked, write the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--configurations", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        copies = many_runs(Path(directory), arguments.runs, arguments.epochs, arguments.configurations)
        rounds = [timed(copies) for _ in range(arguments.rounds + 1)][1:]
    medians, cpu = (
        {stage: statistics.median(seconds[stage][clock] for seconds in rounds) for stage in rounds[0]}
        for clock in (0, 1)
    )

    from rich.console import Console
    from rich.table import Table

    title = (
        f"{arguments.runs:,} runs of {arguments.epochs} epochs in {arguments.configurations:,} configurations, "
        f"{os.cpu_count()} cores"
    )
    table = Table("stage", "seconds", "CPU", title=title)
    for stage, seconds in medians.items():
        table.add_row(stage, f"{seconds:.2f}", f"{cpu[stage]:.2f}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "seconds": medians, "cpu": cpu}, indent=2))


def many_runs(directory: Path, count: int, epochs: int, configurations: int) -> Path:
    """Return a folder with `count` copies of one real run, whose validation figures differ."""
    run, copies = directory / "run", directory / "runs"
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "train.py"), f"trainer.epochs={epochs}", "trainer.engine=keras"]
    subprocess.run([*command, f"hydra.run.dir={run}"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((run / "summary.json").read_text())
    config = (run / ".hydra" / "config.yaml").read_text()
    with (run / "history.csv").open(newline="") as file:
        names, *rows = csv.reader(file)
    for number in range(count):
        copy, beta, seed = copies / str(number), number % configurations + 1, number // configurations
        (copy / ".hydra").mkdir(parents=True)
        with (copy / "history.csv").open("w", newline="") as file:
            csv.writer(file).writerows([names, *_varied(names, rows, beta, seed)])
        (copy / "summary.json").write_text(json.dumps({**summary, "seed": seed}))
        (copy / ".hydra" / "config.yaml").write_text(config.replace("value: 1.0", f"value: {beta}"))
        (copy / ".hydra" / "overrides.yaml").write_text(f"- beta.value={beta}\n- seed={seed}\n")
    return copies


def _varied(names: list[str], rows: list[list[str]], beta: int, seed: int) -> list[list[str]]:
    """Return the rows of a history with other validation figures: a shift for the configuration, and noise."""
    noise = random.Random(f"{beta} {seed}")
    places = {name: names.index(f"validation/{name}") for name in ("kl", "reconstruction", "elbo")}
    shift, varied = 1 + 0.01 * noise.gauss() + 0.1 / beta, []
    for row in rows:
        row = [*row]
        kl = float(row[places["kl"]]) * shift + 0.1 * noise.gauss()
        reconstruction = float(row[places["reconstruction"]]) * shift + 0.1 * noise.gauss()
        for name, value in (("kl", kl), ("reconstruction", reconstruction), ("elbo", -kl - reconstruction)):
            row[places[name]] = str(value)
        varied.append(row)
    return varied


def timed(runs: Path) -> dict[str, tuple[float, float]]:
    """Return the seconds of each stage, measured in a process of its own, and those that it computed."""
    ended = subprocess.run([sys.executable, "-c", TIMED, runs], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds: dict[str, tuple[float, float]] = json.loads(ended.stdout)
    shutil.rmtree(runs / "new")
    with tempfile.TemporaryDirectory() as report:
        began, before = time.perf_counter(), _seconds_of_children()
        command = [sys.executable, "-m", "vae.compare", str(runs), "--out", report]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds["command"] = time.perf_counter() - began, _seconds_of_children() - before
    return seconds


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
