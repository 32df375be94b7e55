"""Time and memory of an evaluation, and what its importance sampling spends its time on.

    python benchmarks/evaluation.py [--model mlp|conv] [--images 250] [--samples 500 5000 50000]
                                    [--batches 20 250 2000] [--rounds 5] [--json FILE]

Every row of the first table is a process of its own, which measures a 784-200-200 model with 50 latent variables by
`vae.evaluation.measure_model` and reports its largest resident set (`getrusage`). Its first row is the first number of
samples and the first batch; each other row differs from it in one of them. The seconds include compilation.

The second table splits the time of a pass, 50 samples each of 50 images. A part is a program that repeats only this
part; parts and whole take turns, and the least time of each counts. The rest is the whole less the parts: the densities
of z, the sums and the loop. "Of the rate" is the share of the float32 rate of one large matrix product in the same
rounds that the MLP's products reach in this time.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from contenders import MATRIX_SIZE
from images import digit_images
from memory import largest_resident_set
from rich import box
from rich.console import Console
from rich.table import Table
from workers import SPAWNED, silence

from vae.compat import load_tensorflow

IMAGES_A_PASS = 50


@dataclass(frozen=True)
class Setting:
    """An evaluation."""

    model: str
    images: int
    samples: int
    batch: int


def evaluate(setting: Setting) -> tuple[float, float]:
    """Measure a model in this process, and return the seconds and the largest resident set in MiB."""
    load_tensorflow()
    import tensorflow as tf
    from contenders.keras_model import new_model

    from vae.evaluation import measure_model

    images = tf.constant((digit_images(setting.images) > 127).astype("float32"))
    batches = [images[start : start + setting.batch] for start in range(0, setting.images, setting.batch)]
    model = new_model(setting.model)
    began = time.perf_counter()
    measure_model(model, batches, setting.samples, seed=0)
    return time.perf_counter() - began, largest_resident_set()


def parts_of_a_pass(model_name: str, rounds: int) -> dict[str, float]:
    """Return the least seconds of a pass, of its parts and of a large matrix product, taking turns in this process."""
    load_tensorflow()
    import tensorflow as tf
    from contenders.keras_model import new_model

    from vae.evaluation.importance_sampling import SAMPLES_A_PASS, ImportanceSampler
    from vae.networks import are_faster_compiled
    from vae.random import Key, Stream, normal_like, row_keys

    passes = 20
    model = new_model(model_name)
    compiled = are_faster_compiled(model.encoder, model.decoder)
    images = tf.constant((digit_images(IMAGES_A_PASS) > 127).astype("float32"))
    noise = tf.random.normal([IMAGES_A_PASS, SAMPLES_A_PASS, model.latent.z_size])
    z = tf.reshape(noise, [-1, model.latent.z_size])
    logits = tf.reshape(model.decode(z), [IMAGES_A_PASS, SAMPLES_A_PASS, *images.shape[1:]])
    square = tf.random.normal([MATRIX_SIZE, MATRIX_SIZE])
    keys = row_keys(0, Stream.IMPORTANCE_SAMPLES, 0, IMAGES_A_PASS)
    sampler = ImportanceSampler(model, passes * SAMPLES_A_PASS, seed=0)

    def decoder(carried: tf.Tensor) -> tf.Tensor:
        return model.decode(z + carried)[0, 0, 0, 0]

    def likelihood(carried: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(model.likelihood.log_prob_of_samples(images, logits + carried))

    def drawing(carried: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(normal_like(noise, Key(keys.value + tf.cast(carried, tf.int64))))

    def repeated(part: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[], Any]:
        # In a loop like the sampler's; a carried number of nearly 0 keeps XLA from computing the part only once
        def body(number: int, carried: tf.Tensor) -> tuple[int, tf.Tensor]:
            return number + 1, 1e-30 * part(carried)

        def loop() -> Any:
            return tf.while_loop(lambda number, _: number < passes, body, (0, tf.constant(0.0)))[1]

        return tf.function(loop, jit_compile=compiled)

    programs = {"decoder": repeated(decoder), "likelihood": repeated(likelihood), "noise": repeated(drawing)}
    product = tf.function(lambda: tf.matmul(square, square)[0, 0])
    seconds: dict[str, list[float]] = {name: [] for name in ["whole", "matrix product", *programs]}
    for _ in range(rounds + 1):
        seconds["whole"].append(_seconds(partial(sampler.nll, images)) / passes)
        seconds["matrix product"].append(_seconds(product))
        for name, program in programs.items():
            seconds[name].append(_seconds(program) / passes)
    return {name: min(values[1:]) for name, values in seconds.items()}  # the first round compiles


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def operations_of_a_pass() -> float:
    """Return the floating-point operations of the products in the MLP's decoder in a pass."""
    from contenders import HIDDEN, LATENTS, SIDE

    sizes = [LATENTS, *reversed(HIDDEN), SIDE**2]
    return 2.0 * IMAGES_A_PASS * 50 * sum(math.prod(pair) for pair in itertools.pairwise(sizes))


def settings_of(arguments: argparse.Namespace) -> list[Setting]:
    """Return the settings to measure, one changed at a time."""
    samples, batches = arguments.samples, arguments.batches
    pairs = [(number, batches[0]) for number in samples] + [(samples[0], batch) for batch in batches]
    return [Setting(arguments.model, arguments.images, *pair) for pair in dict.fromkeys(pairs)]


def main() -> None:
    """Measure, print the tables and write the JSON file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["mlp", "conv"], default="mlp")
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--samples", type=int, nargs="+", default=[500, 5000, 50_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[250, 20, 2000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    console = Console()
    table = Table("samples", "batch", "seconds", "images/s", "peak, MiB", title="evaluations", box=box.SIMPLE)
    figures = []
    with ProcessPoolExecutor(1, SPAWNED, initializer=silence, max_tasks_per_child=1) as fresh:
        for setting in settings_of(arguments):
            seconds, peak = fresh.submit(evaluate, setting).result()
            figures.append({**asdict(setting), "seconds": seconds, "peak_mebibytes": peak})
            row = f"{setting.samples}", f"{setting.batch}", f"{seconds:.1f}", f"{setting.images / seconds:.1f}"
            table.add_row(*row, f"{peak:.0f}")
        parts = fresh.submit(parts_of_a_pass, arguments.model, arguments.rounds).result()
    console.print(table)

    split = Table("part", "ms", "share", "of the rate", title="a pass of importance sampling", box=box.SIMPLE)
    rate = 2.0 * MATRIX_SIZE**3 / parts["matrix product"]
    whole = parts["whole"]
    rest = whole - sum(parts[name] for name in ("decoder", "likelihood", "noise"))
    for name, value in {
        **{n: parts[n] for n in ("decoder", "likelihood", "noise")},
        "rest": rest,
        "whole": whole,
    }.items():
        has_products = arguments.model == "mlp" and name in ("decoder", "whole")
        of_rate = f"{operations_of_a_pass() / value / rate:.0%}" if has_products else ""
        split.add_row(name, f"{1000 * value:.2f}", f"{value / whole:.0%}", of_rate)
    console.print(split)
    console.print(f"matrix product of {MATRIX_SIZE}: {rate / 1e9:.0f} GFLOP/s")
    if arguments.json:
        arguments.json.write_text(json.dumps({"evaluations": figures, "parts_seconds": parts}, indent=2) + "\n")


if __name__ == "__main__":
    main()
