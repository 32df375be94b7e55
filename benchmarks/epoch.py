"""Time what happens after an epoch's training steps, part by part, in milliseconds.

    python benchmarks/epoch.py [--epochs 60] [--latents 50 200] [--steps 100] [--batch 128] [--json FILE]

A run of the 200-200 network on images of MNIST's size with all that a run records by default: audit, history and
summary, TensorBoard, progress, checkpoints. The table shows the median over epochs of each callback, of validation and
of the rest, which is Keras's own work between an epoch's last step and the next epoch's first. The first epochs, which
compile, are left out. Two columns compare the first third of the epochs with the last, and a table for each number of
latent variables, on which the number of tags depends, shows what grows.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vae.compat import load_tensorflow

FIRST = 5  # epochs left out: they compile, and write pictures
STEPS, VALIDATION, AFTER = "training steps", "validation", "all after the steps, without validation"


class Clock:
    """The seconds of each part in each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self._parts: dict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def part(self, name: str) -> Any:
        """Add the time inside to a part of the running epoch."""
        began = time.perf_counter()
        yield
        self._parts[name] += time.perf_counter() - began

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that adds its time to a part."""

        def run(*positional: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*positional, **options)

        return run

    def end_epoch(self, seconds: float) -> None:
        """End an epoch that took so many seconds."""
        parts, self._parts = dict(self._parts), defaultdict(float)
        rest = seconds - sum(parts.values())
        after = seconds - parts[STEPS] - parts[VALIDATION]
        self.epochs.append({**parts, "rest, Keras's own": rest, AFTER: after})


def measure(latents: int, steps: int, batch: int, epochs: int) -> list[dict[str, float]]:
    """Return the seconds of each part in each epoch of a run."""
    import keras
    from contenders import Task
    from contenders.keras_model import new_model
    from contenders.ours import TaskImages
    from images import digit_images

    from vae import training
    from vae.kl import Analytic, Backend, KerasLoss, MonteCarlo, Raw
    from vae.training import loop

    audit: dict[str, Any] = {"analytic": Analytic(), "backend": Backend(), "histogram": Backend(support="histogram")}
    audit |= {"keras_loss": KerasLoss(), "monte_carlo": MonteCarlo(), "raw": Raw()}
    clock, model = Clock(), new_model("mlp", latents=latents)

    class Epochs(keras.callbacks.Callback):
        """Tell the clock of the epochs, each from its first step to the next one's."""

        began: float | None = None

        def on_train_batch_begin(self, number: int, logs: Any = None) -> None:
            if number == 0:
                now = time.perf_counter()
                if self.began is not None:
                    clock.end_epoch(now - self.began)
                self.began = now

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        (directory / "run").mkdir()
        np.save(directory / "images.npy", digit_images(steps * batch + 10_000))
        data = TaskImages(Task("mlp", batch, directory, steps * batch))
        options = training.TrainingOptions(epochs=epochs, batch_size=batch)
        with training.RunRecord(directory / "run", seed=0, kl="analytic") as record:
            scale, description = model.regularizer_scale(batch), training.Description({}, "")
            callbacks = training.recording_callbacks(model, data, record, options, audit, scale, description)
            with training.Checkpoints(record, [], options, data.size("train"), training.Progress()) as saver:
                for callback in (*callbacks, saver):
                    callback.on_epoch_end = clock.timed(type(callback).__name__, callback.on_epoch_end)
                train_function = loop.train_function
                loop.train_function = lambda *args, **options: clock.timed(STEPS, train_function(*args, **options))
                model.evaluate = clock.timed(VALIDATION, model.evaluate)
                try:
                    training.fit(model, data, [Epochs(), *callbacks, saver], options)
                finally:
                    loop.train_function = train_function
    return clock.epochs[FIRST:]


def table_of(epochs: list[dict[str, float]], title: str) -> Any:
    """Return a table of the parts, in milliseconds."""
    from rich import box
    from rich.table import Table

    third = len(epochs) // 3
    table = Table("", "median", "first third", "last third", title=title, box=box.SIMPLE)
    for name in dict.fromkeys(name for epoch in epochs for name in epoch):
        groups = (epochs, epochs[:third], epochs[-third:])
        medians = [1000 * statistics.median(epoch.get(name, 0.0) for epoch in group) for group in groups]
        table.add_row(name, *(f"{median:.1f}" for median in medians))
    return table


def main() -> None:
    """Measure, print a table for each number of latent variables and, if `--json` is given, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--latents", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load_tensorflow()

    from rich.console import Console

    figures = {}
    for latents in arguments.latents:
        found = measure(latents, arguments.steps, arguments.batch, arguments.epochs)
        title = f"ms an epoch, {latents} latent variables, {os.cpu_count()} cores"
        Console().print(table_of(found, title))
        figures[latents] = found
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "epochs": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
