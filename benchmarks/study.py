"""Train the same VAE with every way to write the KL: the table of docs/which-kl.md.

    python benchmarks/study.py [--dir runs/study] [--seeds 0 1 2 3 4] [--rows ROW ...] [--options NAME=VALUE ...]
        [--images 2000]

Each row is a sweep of `train.py` over the seeds, with everything else equal: MNIST, 50 latent variables, 50 epochs. The
row "frontier" is the exact KL over a grid of beta, to which the comparison holds the others at their own rates. Every
finished run is then evaluated on the first images of the test split, and `python -m vae.compare` prints the table. A
study that is started again does only what is missing; the whole takes a night on two cores.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from vae.runs.paths import RunDirectory
from vae.runs.summary import is_finished

ROOT = Path(__file__).parents[1]
OPTIONS = ["data=mnist", "latent.size=50", "trainer.epochs=50"]
FRONTIER = "0.0005,0.002,0.005,0.01,0.02,0.05,0.1,0.25,0.5,1,2,4,8"
ROWS = {
    "analytic": ["kl=analytic"],
    "analytic, beta 0.5": ["kl=analytic", "beta.value=0.5"],  # the control of renyi, half the KL near the prior
    "frontier": ["kl=analytic", f"beta.value={FRONTIER}"],
    "backend": ["kl=backend"],
    "backend, histogram": ["kl=backend", "kl.support=histogram"],
    "keras_loss": ["kl=keras_loss"],
    "keras_loss, calibrated": ["kl=keras_loss", "kl.calibrate=true"],
    "monte_carlo": ["kl=monte_carlo"],
    "monte_carlo, stl": ["kl=monte_carlo", "kl.estimator=stl"],
    "jensen_shannon": ["kl=jensen_shannon"],
    "renyi, alpha 0.5": ["kl=renyi"],
    "tc, correlation 6": ["kl=tc"],
    "mmd, beta 1000": ["kl=mmd", "beta.value=1000"],
    "raw": ["kl=raw", "kl.form=parameters,softmax,log_var"],
}
OF_FRONTIER = ("analytic", "analytic, beta 0.5")  # the row "frontier" has these runs


def train(row: str, directory: Path, seeds: list[int], options: list[str]) -> None:
    """Train the runs of a row that have not finished, each in the folder of its row."""
    folder = directory / row.replace(", ", "-").replace(" ", "-")
    overrides = [f"seed={','.join(map(str, seeds))}", *options, *ROWS[row], f"hydra.sweep.dir={folder}"]
    subprocess.run([sys.executable, str(ROOT / "train.py"), "-m", *overrides], check=False)  # a run may diverge


def evaluate(directory: Path, images: int) -> None:
    """Evaluate every finished run below the directory that has not been evaluated."""
    paths = sorted(path.parent for path in directory.glob("*/*/summary.json") if is_finished(path.parent))
    missing = [path for path in paths if not RunDirectory(path).evaluation.exists()]
    for position, path in enumerate(missing, 1):
        print(f"evaluating {position} of {len(missing)}: {path}", flush=True)
        command = [sys.executable, str(ROOT / "evaluate.py"), f"run={path}", f"take={images}"]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def main() -> None:
    """Train and evaluate what is missing, and compare the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("runs/study"), help="the folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    every = [row for row in ROWS if row not in OF_FRONTIER]
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=every, metavar="ROW")
    parser.add_argument(
        "--options", nargs="+", default=[], metavar="NAME=VALUE", help="options of train.py, for every row"
    )
    parser.add_argument("--images", type=int, default=2000, help="test images on which each run is evaluated")
    arguments = parser.parse_args()

    for row in arguments.rows:
        train(row, arguments.dir, arguments.seeds, [*OPTIONS, *arguments.options])
    evaluate(arguments.dir, arguments.images)
    compare = [sys.executable, "-m", "vae.compare", str(arguments.dir), "--out", str(arguments.dir / "comparison")]
    sys.exit(subprocess.run(compare, check=False).returncode)


if __name__ == "__main__":
    main()
