"""Time a training step: this project's `fit`, Keras's `fit`, PyTorch and JAX, in milliseconds.

    python benchmarks/train_step.py [--models mlp conv] [--batches 20 128 512] [--contenders keras torch jax ours]
                                    [--rounds 5] [--json FILE]

The models are those of `model=mlp` (784-200-200-50, tanh: Burda, Grosse and Salakhutdinov 2016) and `model=conv`, with
50 latent variables, a Bernoulli likelihood and Adam. In every step, every contender does the same: it takes a random
batch of resident images of MNIST's size, draws binary images, encodes, samples, decodes, differentiates and updates.

This project's contender calls `vae.training.fit` with audit, TensorBoard, checkpoints and history on. Its time per step
is the one that the run records, without validation and the work at the end of an epoch; the column "epoch" includes
them. Keras's `fit` gets arrays or a `tf.data` pipeline and, except with its defaults, runs 50 steps per call. Thread
counts are the defaults of the libraries.

Every contender has a process of its own. All are warmed up. Then they take turns, one at a time, round by round. The
tables show medians. The rate of a large float32 matrix product is measured in the same rounds. The share is the
fraction of this rate that the matrix products and convolutions of a step reach.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from arithmetic import FLOPS_OF_MATRIX_PRODUCT, flops_of_a_step
from contenders import CONTENDERS, KERAS_DEFAULTS, MATRIX_PRODUCT, Contender, Round, Task
from images import digit_images
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from workers import Worker

TRAINING_IMAGES, VALIDATION_IMAGES = 50_000, 10_000
STEPS_AT_MOST = 500
CONV_IMAGES = 2048

Measured = dict[Contender, list[Round]]


def images_of_a_round(contender: Contender, model: str, batch: int) -> int:
    """Return the number of images that makes a round take about one or two seconds.

    That is an epoch, or a part of one for slow contenders.
    """
    if model == "conv":
        return batch if contender.one_program else CONV_IMAGES
    return TRAINING_IMAGES if contender.one_program else min(TRAINING_IMAGES, STEPS_AT_MOST * batch)


def measure(tasks: dict[Contender, Task], rounds: int, progress: Progress) -> Measured:
    """Measure all rounds of all contenders for one model and batch size; leave out those that fail."""
    measured: Measured = {contender: [] for contender in tasks}
    bar = progress.add_task("", total=len(tasks) * (rounds + 1))
    with contextlib.ExitStack() as stack:
        workers = {contender: stack.enter_context(Worker(contender, task)) for contender, task in tasks.items()}
        for turn in range(rounds + 1):
            for contender, worker in list(workers.items()):
                task = tasks[contender]
                what = f"{task.model}, batch {task.batch}, {f'round {turn}' if turn else 'warming up'}"
                progress.update(bar, advance=1, description=f"{what}: {contender.name}")
                try:
                    found = worker.turn() if turn else worker.result()
                except (EOFError, BrokenPipeError):
                    progress.console.print(f"{contender.name}: failed; left out")
                    del workers[contender]
                    continue
                if turn:
                    measured[contender].append(found)
    progress.remove_task(bar)
    return {contender: found for contender, found in measured.items() if found}


def figures_of(measured: Measured, model: str, batch: int) -> dict[str, Any]:
    """Return the figures of one model and batch size, for the table and the file."""
    medians = {
        contender: statistics.median(found.milliseconds for found in rounds) for contender, rounds in measured.items()
    }
    rates = [FLOPS_OF_MATRIX_PRODUCT / found.milliseconds / 1e6 for found in measured[MATRIX_PRODUCT]]
    arithmetic = flops_of_a_step(model, batch) / statistics.median(rates) / 1e6
    defaults = medians.get(KERAS_DEFAULTS)
    best = min((median for contender, median in medians.items() if contender.library == "keras"), default=None)
    contenders = [
        {
            "name": contender.name,
            "milliseconds": median,
            "times_keras_defaults": defaults and defaults / median,
            "times_keras_best": best and best / median,
            "share_of_matrix_product": arithmetic / median,
            "rounds": [found.milliseconds for found in measured[contender]],
            "losses": [found.loss for found in measured[contender]],
            "epoch_seconds": [found.epoch_seconds for found in measured[contender] if found.epoch_seconds],
        }
        for contender, median in medians.items()
        if contender is not MATRIX_PRODUCT
    ]
    return {"model": model, "batch": batch, "matrix_product_gflops": rates, "contenders": contenders}


def table_of(figures: dict[str, Any]) -> Table:
    """Return a table of the figures of one model and batch size."""
    rates = figures["matrix_product_gflops"]
    title = (
        f"{figures['model']}, batch {figures['batch']}; {os.cpu_count()} cores, "
        f"float32 matrix product {statistics.median(rates):.0f} GFLOP/s ({min(rates):.0f} to {max(rates):.0f})"
    )
    columns = ["ms per step", "times Keras's defaults", "times its best", "share of the product", "epoch, s"]
    table = Table(Column(no_wrap=True), *columns, title=title, box=box.SIMPLE)
    for found in figures["contenders"]:
        ratios = (found[f"times_keras_{name}"] for name in ("defaults", "best"))
        seconds = found["epoch_seconds"]
        table.add_row(
            found["name"],
            f"{found['milliseconds']:.2f}",
            *(f"{ratio:.2f}" if ratio else "" for ratio in ratios),
            f"{found['share_of_matrix_product']:.0%}",
            f"{statistics.median(seconds):.2f}" if seconds else "",
        )
    return table


def versions() -> dict[str, str]:
    """Return the versions of the installed libraries."""
    found = {}
    for library in ("tensorflow", "keras", "torch", "jax", "optax"):
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def main() -> None:
    """Measure, print the tables and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    libraries = list(dict.fromkeys(contender.library for contender in CONTENDERS))
    known = [*libraries, *(contender.name for contender in CONTENDERS)]
    parser.add_argument("--models", nargs="+", default=["mlp", "conv"], choices=["mlp", "conv"])
    parser.add_argument("--batches", type=int, nargs="+", default=[20, 128, 512])
    parser.add_argument(
        "--contenders",
        nargs="+",
        default=libraries,
        choices=known,
        metavar="NAME",
        help="libraries or single contenders",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, help="images per round, for a quick look")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    console = Console()
    contenders = [MATRIX_PRODUCT]
    for contender in CONTENDERS:
        if {contender.library, contender.name} & set(arguments.contenders):
            if contender.missing:
                console.print(f"{contender.name}: {contender.missing}; left out", markup=False)
            else:
                contenders.append(contender)

    figures = []
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with tempfile.TemporaryDirectory() as directory, Progress(*columns, console=console) as progress:
        np.save(Path(directory) / "images.npy", digit_images(TRAINING_IMAGES + VALIDATION_IMAGES))
        for model in arguments.models:
            for batch in arguments.batches:
                tasks = {
                    contender: Task(
                        model, batch, Path(directory), arguments.images or images_of_a_round(contender, model, batch)
                    )
                    for contender in contenders
                }
                measured = measure(tasks, arguments.rounds, progress)
                figures.append(figures_of(measured, model, batch))
                console.print(table_of(figures[-1]))
    if arguments.json:
        facts = {"cores": os.cpu_count(), "versions": versions(), "figures": figures}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
