"""Measure the noise that Monte Carlo adds to the gradient: bias, signal to noise, cosine and variance.

    python benchmarks/gradient_noise.py [--options NAME=VALUE ...] [--epochs 10] [--batches 20 128] [--samples 1 4 16]
                                        [--draws 400] [--seeds 0 1 2] [--quick] [--json FILE]

For each seed, a VAE is trained with the exact KL (options as for `train.py`; by default on digits). Its weights are
then held, and gradients are drawn with the noise of training: z from the posterior, and for `kl=monte_carlo` further
draws. Monte Carlo's first draw is the z that the decoder sees, as in training. The terms are

- "KL", before beta: `kl=monte_carlo` with so many samples, against `kl=analytic`, which has no noise;
- "loss", the reconstruction plus beta times the KL: the gradient that the optimizer receives.

The gradient is taken at the encoder's output, `(batch, parameters)` as one long vector, which is where the audit of a
run takes it; with respect to the encoder's weights, over which the images of a batch average; and with respect to all
weights of encoder and decoder. On "fixed" images only the noise of z differs between draws. With "drawn" images each
draw has other images, as the steps of training do, so that their noise is in the gradient, too.

- "bias" is |mean - mean of exact| / |mean of exact|, and "floor" its expectation, as a root mean square, if there is
  no bias.
- "signal / noise" is |E g| / sqrt(trace Var g). The squared length of a mean of n draws is too large by trace Var / n,
  which is subtracted.
- "cosine" is the mean cosine between one draw and E g. The first half of the draws gives E g, the second half the
  cosines.
- "variance" is trace Var g over that of the loss with the exact KL: what Monte Carlo adds to the noise of a step.

The table shows means over the seeds, and after "±" their standard deviation.
"""

import argparse
import itertools
import json
import math
import operator
import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from vae import cli
from vae.cli.errors import one_line_errors
from vae.compat import load_tensorflow

if TYPE_CHECKING:
    from vae import VAE
    from vae.data import DataSource

DEFAULTS = {"epochs": 10, "batches": [20, 128], "samples": [1, 4, 16], "draws": 400, "seeds": [0, 1, 2]}
QUICK = {"epochs": 1, "batches": [20], "samples": [1, 4], "draws": 20, "seeds": [0]}
FIXED, DRAWN = "fixed", "drawn"
EXACT = "exact"
#: The columns of the table, by the names of the figures; the first two without their standard deviation
BIAS = {"bias": "bias", "floor": "floor"}
QUANTITIES = {**BIAS, "signal_to_noise": "signal / noise", "cosine": "cosine", "variance": "variance"}

Images = Any  # a tensor `(batch, height, width, channels)`
Gradients = dict["Row", NDArray[np.float32]]


class Row(NamedTuple):
    """The name of a gradient.

    Args:
        term: "KL" or "loss".
        place: "output", "encoder" or "all weights": what the term is differentiated with respect to.
        estimator: "exact", or Monte Carlo by the number of its samples, such as "4 drawn".
    """

    term: str
    place: str
    estimator: str

    @property
    def exact(self) -> "Row":
        """The same with the exact KL."""
        return self._replace(estimator=EXACT)


@dataclass(frozen=True)
class Noise:
    """Statistics of the draws of one gradient; the module's docstring defines each.

    `cosine` and `signal_to_noise` are None if the draws are too few to tell the mean from 0, or have no noise.
    """

    bias: float | None
    floor: float | None
    signal_to_noise: float | None
    cosine: float | None
    variance: float | None


def trained(options: list[str], epochs: int, seed: int) -> "tuple[VAE, DataSource]":
    """Return a model that was trained with the exact KL, and its data.

    Raises:
        UserError: if an option is wrong.
    """
    import keras

    from vae import training
    from vae.config import build

    config = cli.compose("train", f"trainer.epochs={epochs}", f"seed={seed}", *options, "kl=analytic")
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    data = build.build_data(config)
    model = build.build_model(config, data)
    training.fit(model, data, [], build.build_options(config))
    return model, data


def gradient_function(model: "VAE", samples: list[int]) -> Callable[[Images, Any], dict[Row, Any]]:
    """Return a function from images and the number of the draw to the gradients, each as one vector.

    The draws are those of the training step with that number.
    """
    import tensorflow as tf

    from vae.kl import Analytic, MonteCarlo
    from vae.random import Stream, key

    estimators = {EXACT: Analytic(), **{f"{count} drawn": MonteCarlo(samples=count) for count in samples}}
    encoder, decoder = ([weight.value for weight in part.trainable_weights] for part in (model.encoder, model.decoder))

    def flat(gradients: list[Any]) -> Any:
        return tf.concat([tf.reshape(gradient, [-1]) for gradient in gradients], axis=0)

    @tf.function(autograph=False, jit_compile=True)
    def gradients(images: Any, draw: Any) -> dict[Row, Any]:
        with tf.GradientTape(persistent=True) as tape:
            output = model.encoder(images, training=True)
            posterior, prior = model.latent.posterior(output), model.prior_distribution()
            z = posterior.sample(key(model.seed, Stream.TRAINING_POSTERIOR, draw))
            reconstruction = -tf.reduce_mean(model.likelihood.log_prob(images, model.decoder(z, training=True)))
            own_key = key(model.seed, Stream.TRAINING_REGULARIZER, draw)
            values = {name: kl(posterior, prior, z, key=own_key) for name, kl in estimators.items()}
        of_reconstruction = tape.gradient(reconstruction, [output, *encoder, *decoder])
        split = 1 + len(encoder)
        places = {"output": slice(1), "encoder": slice(1, split), "all weights": slice(1, None)}
        found = {}
        for name, value in values.items():
            of_kl = tape.gradient(value, [output, *encoder, *decoder], unconnected_gradients="zero")
            of_loss = [one + model.current_beta() * other for one, other in zip(of_reconstruction, of_kl, strict=True)]
            for place, chosen in places.items():
                if place != "all weights":  # the decoder has none of the KL's gradient
                    found[Row("KL", place, name)] = flat(of_kl[chosen])
                found[Row("loss", place, name)] = flat(of_loss[chosen])
        return found

    return gradients


def batches_of(data: "DataSource", images: str, batch: int, seed: int) -> Callable[[int], Images]:
    """Return a function from the number of the draw to its images, the first ones of the data or drawn ones."""
    import tensorflow as tf

    from vae.data import training_images
    from vae.data.batches import image_reader

    read, count = image_reader(data.train), data.size("train")

    def fixed(draw: int) -> Images:
        return training_images(read(tf.range(batch, dtype=tf.int64)), data.binarization, seed, 0)

    def drawn(draw: int) -> Images:
        chosen = np.random.default_rng([seed, draw]).choice(count, batch, replace=False)
        return training_images(read(tf.constant(chosen)), data.binarization, seed, draw)

    if images == DRAWN:
        return drawn
    always = fixed(0)
    return lambda draw: always


def draws_of(
    gradients: Callable[[Images, Any], dict[Row, Any]],
    batch_of: Callable[[int], Images],
    images: str,
    advance: Callable[[], None],
) -> Callable[[int], Gradients]:
    """Return a function from the number of a draw to its gradients.

    With drawn images these are the loss's alone, at all weights: an output belongs to other images in each draw.
    """
    import tensorflow as tf

    def draws(draw: int) -> Gradients:
        advance()
        found = gradients(batch_of(draw), tf.constant(draw, tf.int64))
        return {
            row: vector.numpy()
            for row, vector in found.items()
            if images == FIXED or (row.term, row.place) == ("loss", "all weights")
        }

    return draws


def noise_of(draws: Callable[[int], Gradients], count: int) -> dict[Row, Noise]:
    """Return the noise of every gradient.

    Args:
        draws: the function from the number of a draw to its gradients.
        count: the number of draws, of which the first half gives the means.
    """
    half = count // 2
    totals: dict[Row, NDArray[np.float64]] = {}
    squares: dict[Row, float] = {}
    apart: dict[Row, float] = {}  # squared distance from the exact KL's, on the same noise
    for draw in range(half):
        found = {row: vector.astype(np.float64) for row, vector in draws(draw).items()}
        for row, vector in found.items():
            difference = vector - found[row.exact]
            squares[row] = squares.get(row, 0.0) + float(vector @ vector)
            apart[row] = apart.get(row, 0.0) + float(difference @ difference)
            totals[row] = totals[row] + vector if row in totals else vector
    means = {row: total / half for row, total in totals.items()}
    variances = {row: (squares[row] - half * float(mean @ mean)) / (half - 1) for row, mean in means.items()}
    cosines: dict[Row, list[float]] = {row: [] for row in means}
    for draw in range(half, count):
        for row, gradient in draws(draw).items():
            cosines[row].append(float(gradient @ means[row.exact] / np.linalg.norm(gradient)))

    def noise(row: Row) -> Noise:
        variance, exact = variances[row], variances[row.exact]
        length = math.sqrt(max(float(means[row.exact] @ means[row.exact]) - exact / half, 0.0))
        constant = variance <= 1e-9 * squares[row] / half  # what rounding leaves
        differs = row.estimator != EXACT
        return Noise(
            bias=float(np.linalg.norm(means[row] - means[row.exact])) / length if differs and length else None,
            floor=math.sqrt(apart[row]) / half / length if differs and length else None,
            signal_to_noise=None if constant or not length else length / math.sqrt(variance),
            cosine=statistics.fmean(cosines[row]) / length if length else None,
            variance=variance / exact if row.term == "loss" else None,
        )

    return {row: noise(row) for row in means}


def measure(arguments: argparse.Namespace, progress: Progress) -> Iterator[dict[str, Any]]:
    """Yield the figures of each row, for every seed, batch size and choice of images."""
    cases = list(itertools.product(arguments.batches, (FIXED, DRAWN)))
    bar = progress.add_task("", total=len(arguments.seeds) * (1 + len(cases) * arguments.draws))
    for seed in arguments.seeds:
        progress.update(bar, description=f"seed {seed}: training")
        model, data = trained(arguments.options, arguments.epochs, seed)
        progress.advance(bar)
        gradients = gradient_function(model, arguments.samples)
        for batch, images in cases:
            progress.update(bar, description=f"seed {seed}: batch {batch}, {images} images")
            draws = draws_of(gradients, batches_of(data, images, batch, seed), images, lambda: progress.advance(bar))
            for row, noise in noise_of(draws, arguments.draws).items():
                if (row.term, row.estimator) != ("KL", EXACT):
                    yield {"seed": seed, "batch": batch, "images": images, **row._asdict(), **asdict(noise)}
    progress.remove_task(bar)


def table_of(figures: list[dict[str, Any]], batch: int, title: str) -> Table:
    """Return the table of one batch size: means over the seeds, and standard deviations."""
    table = Table("gradient at", "estimator", title=f"{title}; batch {batch}", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for name in QUANTITIES.values():
        table.add_column(name, justify="right")
    groups: dict[tuple[str, str], dict[tuple[str, str], list[dict[str, Any]]]] = {}
    for found in figures:
        if found["batch"] == batch:
            rows = groups.setdefault((found["images"], found["term"]), {})
            rows.setdefault((found["place"], found["estimator"]), []).append(found)
    for (images, term), rows in groups.items():
        table.add_section()
        table.add_row(f"{term}, {images}", style="bold")
        for row in sorted(rows, key=operator.itemgetter(0)):
            cells = {name: [found[name] for found in rows[row] if found[name] is not None] for name in QUANTITIES}
            table.add_row(*row, *(mean_and_deviation(values, name not in BIAS) for name, values in cells.items()))
    return table


def mean_and_deviation(values: list[float], with_deviation: bool) -> str:
    """Return the mean as text, with the standard deviation of several values if it is asked for."""
    if not values:
        return ""
    deviation = f"±{statistics.stdev(values):.2f}" if with_deviation and len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{deviation}"


def main() -> None:
    """Measure, print the tables and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--options", nargs="+", default=[], metavar="NAME=VALUE", help="options of train.py")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--samples", type=int, nargs="+")
    parser.add_argument("--draws", type=int)
    parser.add_argument("--seeds", type=int, nargs="+")
    parser.add_argument("--quick", action="store_true", help="one epoch, batch and seed, and few draws")
    parser.add_argument("--json", type=Path)
    parser.set_defaults(**DEFAULTS)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    arguments = parser.parse_args()
    if arguments.draws < 4:
        parser.error(f"--draws {arguments.draws}: must be 4 or more, half of them for the means")
    load_tensorflow()

    console = Console()
    bar = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with one_line_errors(Path(__file__).name), Progress(*bar, console=console, transient=True) as progress:
        figures = list(measure(arguments, progress))
    shown = [option for option in arguments.options if not option.startswith("data.dir")]
    title = " ".join([*shown, f"after {arguments.epochs} epochs, {arguments.draws} draws"])
    for batch in arguments.batches:
        console.print(table_of(figures, batch, title))
    if arguments.json:
        settings = {name: getattr(arguments, name) for name in DEFAULTS}
        facts = {"cores": os.cpu_count(), "options": shown, **settings, "figures": figures}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
