"""Peak memory of a training run, against the number of images, the batch and the number of latent variables.

    python benchmarks/memory.py [--images 10000 100000] [--batches 20 128 512] [--latents 2 50 200]
                                [--sources resident streamed] [--json FILE]

Each number is the largest resident set (`getrusage`) of a process of its own. The process reads 28x28x1 images through
`vae.data.ImageSource` from a TFDS data set that was built for the purpose, and trains the 784-200-200 network for an
epoch by `vae.training.fit`, with audit, logs and checkpoints. Each row differs from the first one in one setting.
"""

import argparse
import json
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from contenders import SIDE
from rich import box
from rich.console import Console
from rich.table import Table
from workers import SPAWNED, silence

from vae.compat import load_tensorflow

MEBIBYTE = 2**20
VALIDATION_IMAGES = 5_000
SOURCES: dict[str, dict[str, Any]] = {"resident": {}, "streamed": {"memory_limit": 0.0}}
"""Ways to read the images: arguments of `ImageSource`."""


@dataclass(frozen=True)
class Setting:
    """The settings of a run."""

    source: str = "resident"
    images: int = 10_000
    batch: int = 128
    latents: int = 50


@dataclass(frozen=True)
class Memory:
    """The memory of a run in MiB.

    Args:
        imported: after the imports, before anything was read or built.
        peak: the largest value.
    """

    imported: float
    peak: float


def build_images(directory: Path, count: int) -> None:
    """Write the data set."""
    load_tensorflow()
    import digit_sheet

    digit_sheet.build(directory, count)


def memory_of_a_run(setting: Setting, directory: Path) -> Memory:
    """Train for an epoch in this process, which has done nothing else, and return its memory."""
    load_tensorflow()
    import digit_sheet  # noqa: F401  (registers the builder)
    from contenders.keras_model import new_model

    from vae import training
    from vae.data import ImageSource
    from vae.kl import Analytic, Backend, KerasLoss

    imported = largest_resident_set()
    source = ImageSource(
        "digit_sheet",
        dir=str(directory),
        validation_size=VALIDATION_IMAGES,
        take=setting.images,
        **SOURCES[setting.source],
    )
    model = new_model("mlp", latents=setting.latents)
    options = training.TrainingOptions(epochs=1, batch_size=setting.batch)
    audit = {"analytic": Analytic(), "backend": Backend(), "keras_loss": KerasLoss()}
    with (
        tempfile.TemporaryDirectory() as run,
        training.RunRecord(run, seed=0, kl="analytic") as record,
        training.Checkpoints(record, (), options, source.size("train"), training.Progress()) as saver,
    ):
        scale, description = model.regularizer_scale(options.batch_size), training.Description({}, "")
        recording = training.recording_callbacks(model, source, record, options, audit, scale, description)
        training.fit(model, source, [*recording, saver], options)
    return Memory(imported, largest_resident_set())


def largest_resident_set() -> float:
    """Return the largest resident set of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEBIBYTE


def settings_of(arguments: argparse.Namespace) -> list[Setting]:
    """Return the settings to measure: for each way to read images, one setting changed at a time."""
    settings = []
    for source in arguments.sources:
        first = Setting(source, arguments.images[0])
        settings += [replace(first, images=images) for images in arguments.images]
        settings += [replace(first, batch=batch) for batch in arguments.batches]
        settings += [replace(first, latents=latents) for latents in arguments.latents]
    return list(dict.fromkeys(settings))


def main() -> None:
    """Measure, print the table and write the JSON file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[20, 128, 512])
    parser.add_argument("--latents", type=int, nargs="+", default=[2, 50, 200])
    parser.add_argument("--sources", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    console = Console()
    columns = ["images", "batch", "latents", "images, MiB", "TensorFlow, MiB", "peak, MiB"]
    table = Table("source", *columns, title="peak memory of a training run", box=box.SIMPLE)
    figures = []
    fresh = ProcessPoolExecutor(1, SPAWNED, initializer=silence, max_tasks_per_child=1)
    with tempfile.TemporaryDirectory() as name, fresh, console.status("") as status:
        directory, largest = Path(name), max(arguments.images)
        status.update(f"building a data set of {largest} images")
        fresh.submit(build_images, directory, largest + VALIDATION_IMAGES).result()
        for setting in settings_of(arguments):
            status.update(f"training: {setting}")
            memory = fresh.submit(memory_of_a_run, setting, directory).result()
            figures.append({**asdict(setting), "imported_mebibytes": memory.imported, "peak_mebibytes": memory.peak})
            own = setting.images * SIDE**2 / MEBIBYTE
            row = (setting.images, setting.batch, setting.latents, f"{own:.0f}")
            table.add_row(setting.source, *map(str, row), f"{memory.imported:.0f}", f"{memory.peak:.0f}")
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
