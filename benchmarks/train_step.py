"""Milliseconds a training step: this project's `fit` against Keras's, same model, optimizer, batch and data.

    python benchmarks/train_step.py [--batches 20 128 512] [--rounds 5] [--json FILE]

The model is the one of Burda, Grosse and Salakhutdinov 2016 (784-200-200-50, tanh, Bernoulli) with Adam, on 50,000
images of MNIST's size, dynamically binarized. Ours is measured through `vae.training.fit`, with audit, TensorBoard,
checkpoints and history switched on; validation is not counted in either. Contenders alternate in every round after one
that warms them up; the medians stand in the table, with the share of the machine's own float32 matrix-product rate that
a step's matrix products reach.
"""

import argparse
import io
import itertools
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.table import Table

from vae.startup import load_tensorflow

IMAGES = 50_000
LATENTS = 50
HIDDEN = (200, 200)
STEPS_MEASURED = 390


def matrix_product_rate() -> float:
    """Float32 GFLOP/s of one large matrix product: the median of ten."""
    import tensorflow as tf

    size = 2048
    left, right = tf.random.normal([size, size]), tf.random.normal([size, size])
    seconds = []
    for _ in range(11):
        began = time.perf_counter()
        tf.matmul(left, right).numpy()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds[1:]) / 1e9


def flops_of_a_step(batch: int) -> float:
    """Of the matrix products alone, forward and backward: six for every weight and example."""
    sizes = [(784, *HIDDEN, 2 * LATENTS), (LATENTS, *reversed(HIDDEN), 784)]
    weights = sum(left * right for layers in sizes for left, right in itertools.pairwise(layers))
    return 6.0 * weights * batch


def new_model() -> Any:
    """The model, compiled as a user would."""
    import keras

    from vae import VAE
    from vae.kl import Analytic
    from vae.latents import GaussianLatent
    from vae.likelihoods import BernoulliLikelihood
    from vae.networks import MLP

    latent, network = GaussianLatent(LATENTS), MLP(HIDDEN)
    encoder, decoder = network.encoder((28, 28, 1), latent.parameter_count), network.decoder(LATENTS, (28, 28, 1))
    model = VAE(encoder, decoder, latent, BernoulliLikelihood(), Analytic())
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def ours(images: Any, batch: int, engine: str) -> Callable[[], float]:
    """A round through `vae.training.fit`: ms a step."""
    from vae import training
    from vae.kl import Analytic, Backend, KerasLoss

    count = STEPS_MEASURED * batch
    source: Any = SimpleNamespace(train=images[:count], validation=images[-batch:])
    model, audit = new_model(), {"analytic": Analytic(), "backend": Backend(), "keras_loss": KerasLoss()}

    def measure() -> float:
        with tempfile.TemporaryDirectory() as directory, redirect_stdout(io.StringIO()):
            with training.RunRecord(Path(directory), seed=0, kl="analytic") as record:
                training.fit(
                    model,
                    source,
                    record,
                    epochs=3,
                    batch_size=batch,
                    binarization="dynamic",
                    engine=engine,
                    audit=audit,
                    options={},
                    configuration="",
                )
            return 1000 / record.summary["train"]["steps_per_second"]

    return measure


def stock(images: Any, batch: int, **options: Any) -> Callable[[], float]:
    """A round of Keras's `fit` on float32 arrays, as its documentation shows it: ms a step."""
    import keras

    model = new_model()
    model.compile(keras.optimizers.Adam(1e-3), **options)
    floats = (images[: STEPS_MEASURED * batch] / 255.0).astype("float32")

    def measure() -> float:
        began = time.perf_counter()
        model.fit(floats, batch_size=batch, epochs=1, verbose=0)
        return (time.perf_counter() - began) / STEPS_MEASURED * 1000

    return measure


def main() -> None:
    """Measures, prints the table and, where asked, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[20, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    load_tensorflow()
    warnings.simplefilter("ignore")

    import numpy as np

    rate = matrix_product_rate()
    title = f"ms a training step, {os.cpu_count()} cores, matrix product {rate:.0f} GFLOP/s"
    table = Table("batch", "contender", "ms a step", "against Keras's defaults", "of the matrix product", title=title)
    figures = []
    for batch in arguments.batches:
        images = np.random.default_rng(0).integers(0, 256, (STEPS_MEASURED * batch, 28, 28, 1), dtype=np.uint8)
        contenders = {
            "Keras fit, defaults": stock(images, batch),
            "Keras fit, jit_compile, 50 steps an execution": stock(
                images, batch, jit_compile=True, steps_per_execution=50
            ),
            "ours, engine=keras": ours(images, batch, "keras"),
            "ours, engine=compiled": ours(images, batch, "compiled"),
        }
        measured: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(arguments.rounds + 1):
            for name, measure in contenders.items():
                measured[name].append(measure())
        medians = {name: statistics.median(values[1:]) for name, values in measured.items()}
        for name, median in medians.items():
            ratio = medians["Keras fit, defaults"] / median
            share = flops_of_a_step(batch) / (median / 1000) / 1e9 / rate
            table.add_row(str(batch), name, f"{median:.2f}", f"{ratio:.2f} times", f"{share:.0%}")
            figures.append({"batch": batch, "contender": name, "milliseconds": median, "ratio": ratio, "share": share})
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"gflops": rate, "cores": os.cpu_count(), "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
