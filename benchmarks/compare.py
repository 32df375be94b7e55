"""Time that `vae.compare` takes for many runs.

    python benchmarks/compare.py [--runs 2000] [--epochs 10] [--configurations 4] [--rounds 3] [--json FILE]

One real run of `train.py` is trained, and the files that a comparison reads are copied, under so many configurations
and a new seed for each copy of one. Each round is a process of its own; the table has the medians. The disk is warm.

"tab, opened" is what TensorBoard's tab takes to answer for the first time, with another loading of the runs; "tab,
another choice" is the answer for another quantity; "tab, unchanged" is its look whether a run has changed.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

TIMED = """
import json, sys, time

seconds = {}

def timed(stage, function, *arguments, **options):
    start = time.perf_counter()
    result = function(*arguments, **options)
    seconds[stage] = time.perf_counter() - start
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
    medians = {stage: statistics.median(seconds[stage] for seconds in rounds) for stage in rounds[0]}

    from rich.console import Console
    from rich.table import Table

    title = (
        f"{arguments.runs:,} runs of {arguments.epochs} epochs in {arguments.configurations:,} configurations, "
        f"{os.cpu_count()} cores"
    )
    table = Table("stage", "seconds", title=title)
    for stage, seconds in medians.items():
        table.add_row(stage, f"{seconds:.2f}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "seconds": medians}, indent=2))


def many_runs(directory: Path, count: int, epochs: int, configurations: int) -> Path:
    """Return a folder with `count` copies of one real run."""
    run, copies = directory / "run", directory / "runs"
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "train.py"), f"trainer.epochs={epochs}", "trainer.engine=keras"]
    subprocess.run([*command, f"hydra.run.dir={run}"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((run / "summary.json").read_text())
    config = (run / ".hydra" / "config.yaml").read_text()
    for number in range(count):
        copy, beta, seed = copies / str(number), number % configurations + 1, number // configurations
        (copy / ".hydra").mkdir(parents=True)
        shutil.copy(run / "history.csv", copy)
        (copy / "summary.json").write_text(json.dumps({**summary, "seed": seed}))
        (copy / ".hydra" / "config.yaml").write_text(config.replace("value: 1.0", f"value: {beta}"))
        (copy / ".hydra" / "overrides.yaml").write_text(f"- beta.value={beta}\n- seed={seed}\n")
    return copies


def timed(runs: Path) -> dict[str, float]:
    """Return the seconds of each stage, measured in a process of its own."""
    ended = subprocess.run([sys.executable, "-c", TIMED, runs], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds: dict[str, float] = json.loads(ended.stdout)
    return seconds


if __name__ == "__main__":
    main()
