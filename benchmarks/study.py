"""Train the same VAE with every way to write the KL: the table of docs/which-kl.md.

    python benchmarks/study.py [--seeds 0 1 2] [--options NAME=VALUE ...] [--rows ROW ...] [--json FILE] [--dir DIR]

Each row is a sweep of `train.py` over the seeds, with everything else equal: MNIST, 50 latent variables, ten epochs.
With --dir the runs are kept, and a study that is started again trains only what is missing. The figures come from
summary.json: the canonical ELBO and KL on the validation split, as mean and standard deviation over the seeds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from joblib import cpu_count
from rich.console import Console
from rich.progress import track
from rich.table import Table

TRAIN = Path(__file__).parents[1] / "train.py"
OPTIONS = ["data=mnist", "latent.size=50", "trainer.epochs=10"]
ROWS = {
    "analytic": ["kl=analytic"],
    "analytic, beta 0.5": ["kl=analytic", "beta.value=0.5"],  # the control of renyi, half the KL near the prior
    "backend": ["kl=backend"],
    "backend, histogram": ["kl=backend", "kl.support=histogram"],
    "keras_loss": ["kl=keras_loss"],
    "keras_loss, calibrated": ["kl=keras_loss", "kl.calibrate=true"],
    "monte_carlo": ["kl=monte_carlo"],
    "jensen_shannon": ["kl=jensen_shannon"],
    "renyi, alpha 0.5": ["kl=renyi"],
    "tc, correlation 6": ["kl=tc"],
    "mmd, beta 1000": ["kl=mmd", "beta.value=1000"],
    "raw, parameters": ["kl=raw"],
    "raw, softmax": ["kl=raw", "kl.form=softmax"],
    "raw, log_var": ["kl=raw", "kl.form=log_var"],
}


def summaries(name: str, seeds: list[int], options: list[str], directory: Path) -> list[dict[str, Any]]:
    """Train the runs of a row; return the summaries of those that finished at least one epoch."""
    folder = directory / name.replace(", ", "-").replace(" ", "-")
    seed = f"seed={','.join(map(str, seeds))}"
    command = [sys.executable, str(TRAIN), "-m", seed, *options, *ROWS[name], f"hydra.sweep.dir={folder}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*/summary.json"))]
    if not found:
        raise SystemExit(ended.stderr)
    return found


def figures_of(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means and standard deviations over the runs of a row."""
    finished = [run for run in runs if run["status"] == "finished"]
    quantities = {
        "elbo": [run["validation"]["elbo"] for run in finished],
        "reconstruction": [run["validation"]["reconstruction"] for run in finished],
        "kl": [run["validation"]["kl"] for run in finished],
        "active_units": [run["audit"]["active_units"] for run in finished],
        "effective_beta": [run["effective_beta"] for run in finished if run["effective_beta"] is not None],
        "local_weight": [run["audit"]["local_weight"] for run in finished],
        "residual_share": [run["audit"]["residual_share"] for run in finished],
        "milliseconds": [1e3 / run["steps_per_second"] for run in finished],
    }
    return {
        "row": name,
        "finished": len(finished),
        "runs": len(runs),
        **{quantity: statistics.fmean(values) for quantity, values in quantities.items() if values},
        **{f"{quantity}_sd": statistics.stdev(values) for quantity, values in quantities.items() if len(values) > 1},
    }


def table_of(rows: list[dict[str, Any]], title: str) -> Table:
    """Return the table of docs/which-kl.md."""
    weights = ["effective beta", "local weight", "other directions"]
    columns = ["ELBO", "reconstruction", "KL", "active units", *weights, "ms per step"]
    table = Table("kl", *columns, title=title)
    for row in rows:
        if not row["finished"]:
            table.add_row(row["row"], f"none of {row['runs']} runs finished")
            continue
        table.add_row(
            row["row"],
            f"{row['elbo']:.2f}" + (f" ± {row['elbo_sd']:.2f}" if "elbo_sd" in row else ""),
            f"{row['reconstruction']:.2f}",
            f"{row['kl']:.2f}",
            f"{row['active_units']:.1f}",
            f"{row['effective_beta']:.4g}" if "effective_beta" in row else "",
            f"{row['local_weight']:.3g}",
            f"{row['residual_share']:.2f}",
            f"{row['milliseconds']:.2f}",
        )
    return table


def main() -> None:
    """Train what is missing, print the table and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument(
        "--options", nargs="+", default=[], metavar="NAME=VALUE", help="options of train.py, for every row"
    )
    parser.add_argument("--dir", type=Path, help="the folder of the runs; by default they are not kept")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    options = [*OPTIONS, *arguments.options]
    console = Console(width=None if sys.stdout.isatty() else 160)  # a file has no width of its own
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.dir or Path(temporary)
        rows = [
            figures_of(name, summaries(name, arguments.seeds, options, directory))
            for name in track(arguments.rows, "training", console=console, disable=not console.is_terminal)
        ]
    study_options = [option for option in options if not option.startswith("data.dir")]
    console.print(table_of(rows, f"{' '.join(study_options)}, {len(arguments.seeds)} seeds, {cpu_count()} cores"))
    if arguments.json:
        facts = {"cores": cpu_count(), "options": study_options, "seeds": arguments.seeds, "rows": rows}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
