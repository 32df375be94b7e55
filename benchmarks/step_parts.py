"""Time the parts of a compiled training step, in microseconds, and each of its matrix products alone.

    python benchmarks/step_parts.py [--batches 20 128 512] [--rounds 7] [--json FILE]

The model is that of `benchmarks/train_step.py`, 784-200-200-50 with tanh, a Bernoulli likelihood and Adam. The first
table shows what the step saves without a part: parts of one program overlap, so that their own times would not add up.
A part is replaced by the cheapest thing that trains: dynamic binarization by a threshold, the draw of z by its mean,
the cross-entropy by the square of the logits, Adam by plain gradient descent. "the loop alone" is the loop with the
batch's images read and nothing else.

The second table shows each matrix product of the step alone, by NumPy's library: what the products cost on their own
next to their sum at the rate of a large product in the same rounds, which is a floor of the step.

All programs are compiled and warmed up. Then they take turns, round by round. The tables show medians.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import keras
import numpy as np
import tensorflow as tf
from arithmetic import FLOPS_OF_MATRIX_PRODUCT, flops_of_a_step
from contenders import HIDDEN, LATENTS, LEARNING_RATE, MATRIX_SIZE, SIDE
from images import digit_images
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vae import VAE
from vae.data.chunks import Chunk
from vae.kl import Analytic, KLRegularizer
from vae.latents import GaussianLatent
from vae.likelihoods import BernoulliLikelihood
from vae.networks import MLP
from vae.training.loop import train_function

IMAGES, STEPS, REPETITIONS = 10_000, 100, 20
SPINNING = 0.5  # seconds for which NumPy's threads may go on waiting for work, which would slow what comes next
WHOLE, LOOP, LARGE = "the whole step", "the loop alone", "large product"

Name = TypeVar("Name")
Timed = Callable[[], float]


class Product(NamedTuple):
    """A matrix product, `(rows, depth)` by `(depth, columns)`, and which of its operands are stored transposed."""

    rows: int
    depth: int
    columns: int
    left: bool = False
    right: bool = False

    @property
    def flops(self) -> float:
        """The floating-point operations."""
        return 2.0 * self.rows * self.depth * self.columns

    def operands(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return two random operands as they are stored."""
        generator = np.random.default_rng(0)
        left, right = (self.rows, self.depth), (self.depth, self.columns)
        shapes = left[::-1] if self.left else left, right[::-1] if self.right else right
        first, second = (generator.normal(size=shape).astype(np.float32) for shape in shapes)
        return first, second


class SquaredLogits(BernoulliLikelihood):
    """A likelihood without logarithms and exponentials."""

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return minus half the squared distance of images and parameters, `(batch,)`."""
        return -0.5 * tf.reduce_sum(tf.square(images - parameters), axis=[1, 2, 3])


class Means(GaussianLatent):
    """A latent family without noise."""

    def training_sample(self, posterior: Any, key: Any, step: Any) -> tf.Tensor:
        """Return the posterior's mean, `(batch, latents)`."""
        return posterior.mean


def step_of(
    images: tf.Tensor,
    batch: int,
    binarization: str = "dynamic",
    latent: type[GaussianLatent] = GaussianLatent,
    likelihood: type[BernoulliLikelihood] = BernoulliLikelihood,
    optimizer: type[keras.optimizers.Optimizer] = keras.optimizers.Adam,
    kl: KLRegularizer | None = None,
) -> Timed:
    """Return a function that trains on a chunk and returns the microseconds of a step.

    Args:
        images: the training split, uint8.
        batch: images in a step.
        binarization: as in `vae.data.training_images`.
        latent: the family of latent variables.
        likelihood: p(x|z).
        optimizer: the class of the optimizer.
        kl: the regularizer; None for the exact KL.
    """
    networks, family, shape = MLP(HIDDEN), latent(LATENTS), (SIDE, SIDE, 1)
    encoder, decoder = networks.encoder(shape, family.parameter_count), networks.decoder(LATENTS, shape)
    model = VAE(encoder, decoder, family, likelihood(), kl or Analytic())
    model.compile(optimizer(LEARNING_RATE))
    model.optimizer.build(model.trainable_variables)
    run = train_function(model, binarization, compiled=True)
    indices = tf.constant(np.random.default_rng(0).integers(0, len(images), (STEPS, batch)))
    chunk = Chunk(images, indices, tf.constant(0, tf.int64), tf.constant(STEPS, tf.int64))
    return lambda: _seconds(lambda: float(run(iter([chunk]))["loss"])) / STEPS * 1e6


def loop_of(images: tf.Tensor, batch: int) -> Timed:
    """Return a function that reads the images of a chunk and returns the microseconds of a step."""

    @tf.function(autograph=False, jit_compile=True)
    def run(indices: tf.Tensor) -> tf.Tensor:
        def one(place: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            batch_sum = tf.reduce_sum(tf.cast(tf.gather(images, indices[place]), tf.float32))
            return place + 1, total + batch_sum

        return tf.while_loop(lambda place, _: place < STEPS, one, (tf.constant(0), tf.constant(0.0)))[1]

    indices = tf.constant(np.random.default_rng(0).integers(0, len(images), (STEPS, batch)))
    return lambda: _seconds(lambda: float(run(indices))) / STEPS * 1e6


def products_of(batch: int) -> list[tuple[str, Product, int]]:
    """Return the matrix products of a step, each with a name and the number of times that it occurs."""
    pixels, (wide, narrow) = SIDE**2, HIDDEN
    sizes = [pixels, wide, narrow, 2 * LATENTS], [LATENTS, narrow, wide, pixels]
    layers = [layer for network in sizes for layer in itertools.pairwise(network)]
    found = Counter(("forward", Product(batch, inputs, outputs)) for inputs, outputs in layers)
    found.update(("weights", Product(inputs, batch, outputs, left=True)) for inputs, outputs in layers)
    found.update(("inputs", Product(batch, outputs, inputs, right=True)) for inputs, outputs in layers[1:])
    return [
        (f"{purpose}: {product.rows}x{product.depth} by {product.depth}x{product.columns}", product, count)
        for (purpose, product), count in found.items()
    ]


def product_of(product: Product) -> Timed:
    """Return a function that times a product in NumPy."""
    a, b = product.operands()
    a, b = (a.T if product.left else a), (b.T if product.right else b)
    out = np.empty((product.rows, product.columns), np.float32)

    def run() -> None:
        for _ in range(REPETITIONS):
            np.matmul(a, b, out=out)

    return lambda: _seconds(run) / REPETITIONS * 1e6


def times_in_turns(
    programs: Mapping[Name, Timed], rounds: int, title: str, pause: float = 0.0
) -> dict[Name, list[float]]:
    """Compile all programs, then time them round by round, so that a slow moment of the machine slows all of them.

    Args:
        programs: the programs, in the order of a round. The first call of each compiles it and does not count.
        rounds: the number of rounds.
        title: the words before the progress bars.
        pause: seconds to wait after each round.

    Returns:
        For each program, its time in every round.
    """
    for program in track(programs.values(), f"{title}: compiling"):
        program()
    times: dict[Name, list[float]] = {name: [] for name in programs}
    for _ in track(range(rounds), f"{title}: rounds"):
        for name, program in programs.items():
            times[name].append(program())
        time.sleep(pause)
    return times


def measure(batch: int, rounds: int) -> dict[str, float]:
    """Return the median microseconds of every part and product."""
    images = tf.constant(digit_images(IMAGES))
    programs: dict[str, Timed] = {
        WHOLE: step_of(images, batch),
        "without binarization": step_of(images, batch, binarization="threshold"),
        "without noise": step_of(images, batch, latent=Means),
        "without cross-entropy": step_of(images, batch, likelihood=SquaredLogits),
        "without Adam": step_of(images, batch, optimizer=keras.optimizers.SGD),
        LOOP: loop_of(images, batch),
        LARGE: product_of(Product(MATRIX_SIZE, MATRIX_SIZE, MATRIX_SIZE)),
        **{name: product_of(product) for name, product, _ in products_of(batch)},
    }
    times = times_in_turns(programs, rounds, f"batch {batch}", pause=SPINNING)
    return {name: statistics.median(found) for name, found in times.items()}


def show(console: Console, batch: int, measured: dict[str, float]) -> None:
    """Print the two tables of a batch size."""
    large = FLOPS_OF_MATRIX_PRODUCT / measured[LARGE] / 1e3
    parts = Table("", "µs", "saves, µs", "share", title=f"batch {batch}, {os.cpu_count()} cores")
    whole = measured[WHOLE]
    for name in [name for name in measured if name == WHOLE or name.startswith("without")]:
        saved = whole - measured[name]
        parts.add_row(name, f"{measured[name]:.0f}", *((f"{saved:.0f}", f"{saved / whole:.0%}") if saved else ("", "")))
    parts.add_row(LOOP, f"{measured[LOOP]:.0f}", "", f"{measured[LOOP] / whole:.0%}")
    console.print(parts)
    table = Table("product", "times", "µs", "GFLOP/s", title=f"large product {large:.0f} GFLOP/s")
    total, flops = 0.0, flops_of_a_step("mlp", batch)
    for name, product, count in products_of(batch):
        total += count * measured[name]
        table.add_row(name, str(count), f"{measured[name]:.0f}", f"{product.flops / measured[name] / 1e3:.0f}")
    table.add_section()
    table.add_row("all", "", f"{total:.0f}", f"{flops / total / 1e3:.0f}")
    table.add_row("all, at the rate of the large product", "", f"{flops / large / 1e3:.0f}", f"{large:.0f}")
    console.print(table)


def main() -> None:
    """Measure, print the tables and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[20, 128, 512])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    found = {batch: measure(batch, arguments.rounds) for batch in arguments.batches}
    for batch, measured in found.items():
        show(console, batch, measured)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "microseconds": found}, indent=2) + "\n")


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
