"""Milliseconds a training step: this project's `fit` against Keras's, PyTorch and JAX.

    python benchmarks/train_step.py [--models mlp conv] [--batches 20 128 512] [--contenders keras torch jax ours]
                                    [--rounds 5] [--json FILE]

The models are those of `model=mlp` (784-200-200-50, tanh: Burda, Grosse and Salakhutdinov 2016) and `model=conv`, with
50 latent variables, a Bernoulli likelihood and Adam. Every contender does the same in every step: it takes a random
batch of resident images of MNIST's size, draws binary ones, encodes, samples, decodes, differentiates, updates. Ours
goes through `vae.training.fit` with audit, TensorBoard, checkpoints and history switched on; the time of a step is the
run's own, which leaves out validation and what is done at an epoch's end; the column "epoch" has all of it. Keras's
`fit` has arrays or a `tf.data` pipeline and, but for its defaults, 50 steps a call. Thread counts are the libraries'
own.

Every contender has a process of its own. All are warmed up, then they take turns, one at a time, round by round; the
tables have the medians. The rate of a large float32 matrix product is measured in the same rounds, and the share of it
is what a step's matrix products and convolutions reach.
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
    """So many that a round takes about a second or two: an epoch, or a part of one for those that are slow."""
    if model == "conv":
        return batch if contender.one_program else CONV_IMAGES
    return TRAINING_IMAGES if contender.one_program else min(TRAINING_IMAGES, STEPS_AT_MOST * batch)


def measure(tasks: dict[Contender, Task], rounds: int, progress: Progress) -> Measured:
    """All rounds of all contenders at one model and batch; who fails is left out."""
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
                    progress.console.print(f"{contender.name}: failed, and is left out")
                    del workers[contender]
                    continue
                if turn:
                    measured[contender].append(found)
    progress.remove_task(bar)
    return {contender: found for contender, found in measured.items() if found}


def figures_of(measured: Measured, model: str, batch: int) -> dict[str, Any]:
    """What the table and the file say of a model at a batch."""
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
    """The figures of a model at a batch."""
    rates = figures["matrix_product_gflops"]
    title = (
        f"{figures['model']}, batch {figures['batch']}; {os.cpu_count()} cores, "
        f"float32 matrix product {statistics.median(rates):.0f} GFLOP/s ({min(rates):.0f} to {max(rates):.0f})"
    )
    columns = ["ms a step", "times Keras's defaults", "times its best", "share of the product", "epoch, s"]
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
    """Of the libraries that are installed."""
    found = {}
    for library in ("tensorflow", "keras", "torch", "jax", "optax"):
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def main() -> None:
    """Measures, prints the table and, where asked, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    libraries = list(dict.fromkeys(contender.library for contender in CONTENDERS))
    known = [*libraries, *(contender.name for contender in CONTENDERS)]
    parser.add_argument("--models", nargs="+", default=["mlp", "conv"], choices=["mlp", "conv"])
    parser.add_argument("--batches", type=int, nargs="+", default=[20, 128, 512])
    parser.add_argument(
        "--contenders", nargs="+", default=libraries, choices=known, metavar="NAME", help="libraries, or single ones"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, help="a round's, for a quick look")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    console = Console()
    contenders = [MATRIX_PRODUCT]
    for contender in CONTENDERS:
        if {contender.library, contender.name} & set(arguments.contenders):
            if contender.missing:
                console.print(f"{contender.name}: left out: {contender.missing}", markup=False)
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
