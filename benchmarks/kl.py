"""Time a KL: Keras's function and class, the closed form and a Monte Carlo estimate, in microseconds.

    python benchmarks/kl.py [--batches 20 128 512] [--latents 16 50] [--points 16 32 64] [--modes eager graph xla]
                            [--rounds 5] [--quick] [--json FILE]

A well-known article makes three claims about `keras.losses.kl_divergence`, the function, and
`keras.losses.KLDivergence`, the class: they take their inputs differently; one computes directly while the other
reduces and weights; the function is more efficient. The benchmark checks the first two claims on three pairs of vectors
and times the third. For the first it gives both the same vectors in several forms, vectors of different ranks, vectors
with a Keras mask, and other types than float32.

Function and class receive ready vectors of probabilities, `(batch, latents, points)`. They compute either the values
`(batch, latents)` or their mean, which is the default of the class. The regularizers of `vae.kl` receive Gaussian
posteriors; `backend` and `keras_loss` build the vectors by quadrature, and `monte_carlo` draws once for each posterior.
"forward" is the value alone; "and backward" includes its gradient with respect to all inputs. "graph" is a
`tf.function`; "xla" is the same with `jit_compile=True`. Thread counts are TensorFlow's defaults.

All contenders are compiled and warmed up. Then they take turns, round by round, each for about 20 milliseconds or one
call. The tables show medians. "times function" is the ratio of the class to the function with the same result, and of
`keras_loss` to `backend`; "times analytic" is the ratio to the closed form. Both are medians of the ratios within a
round.
"""

import argparse
import itertools
import json
import math
import operator
import os
import statistics
import timeit
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from vae.compat import load_tensorflow

DEFAULTS = {"batches": [20, 128, 512], "latents": [16, 50], "points": [16, 32, 64], "rounds": 5}
QUICK = {"batches": [20], "latents": [16], "points": [32], "rounds": 3}
CLASSES = ("class, unreduced", "class")
MODES = ("eager", "graph", "xla")
PASSES = ("forward", "and backward")
SECONDS = 0.02  # the shortest measurement
DIFFERENCE = 0.05  # relative; up to it the times of class and function count as equal

#: Three pairs of vectors, and weights of the pairs, on which the first two claims are checked
P, Q, WEIGHT = [[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], [[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]], [1.0, 2.0, 0.5]
MASK = [True, False, True]

Figures = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """The size of a contender's inputs."""

    batch: int
    latents: int
    points: int


@dataclass(frozen=True, eq=False)
class Contender:
    """One way to compute a KL.

    Args:
        name: the name in the tables.
        value: the function to time; it takes the inputs.
        inputs: tensors.
        function: for a contender that uses Keras's class, the name of the one that gets the same result from Keras's
            function.
    """

    name: str
    value: Callable[..., Any]
    inputs: tuple[Any, ...]
    function: str | None = None


def contenders_at(size: Size) -> list[Contender]:
    """Return all contenders with inputs of this size."""
    import keras
    import tensorflow as tf

    from vae.kl import Analytic, Backend, KerasLoss, KLRegularizer, MonteCarlo
    from vae.latents import Gaussian, GaussianLatent
    from vae.random import Stream, key

    generator = np.random.default_rng(0)
    function = keras.losses.kl_divergence
    logits = generator.normal(size=(2, size.batch, size.latents, size.points))
    vectors = tuple(tf.nn.softmax(tf.constant(logit, tf.float32)) for logit in logits)
    prior = GaussianLatent(size.latents).prior()
    mu, log_var, noise = tf.constant(generator.normal(size=(3, size.batch, size.latents)), tf.float32)
    posterior_and_z = (mu, log_var, mu + tf.exp(0.5 * log_var) * noise)
    draws = key(0, Stream.TRAINING_REGULARIZER, 0)

    def regularizer(name: str, kl: KLRegularizer, function: str | None = None) -> Contender:
        def value(mu: Any, log_var: Any, z: Any) -> Any:
            return kl(Gaussian(mu, log_var), prior, z, key=draws)

        return Contender(name, value, posterior_and_z, function)

    return [
        Contender("function", function, vectors),
        Contender("class, unreduced", keras.losses.KLDivergence(None), vectors, "function"),
        Contender("function, mean", lambda p, q: tf.reduce_mean(function(p, q)), vectors),
        Contender("class", keras.losses.KLDivergence(), vectors, "function, mean"),
        regularizer("backend", Backend(points=size.points)),
        regularizer("keras_loss, none", KerasLoss(points=size.points, reduction="none"), "backend"),
        regularizer("keras_loss", KerasLoss(points=size.points), "backend"),
        regularizer("analytic", Analytic()),
        regularizer("monte_carlo", MonteCarlo()),
    ]


def timer_of(contender: Contender, mode: str, what: str) -> timeit.Timer:
    """Return a timer of one call, which waits for the result."""
    import tensorflow as tf

    def forward(*inputs: Any) -> Any:
        return contender.value(*inputs)

    def and_backward(*inputs: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = contender.value(*inputs)
        return value, tape.gradient(value, inputs)

    function = forward if what == "forward" else and_backward
    if mode != "eager":
        function = tf.function(function, autograph=False, jit_compile=mode == "xla")

    def call() -> None:
        result = function(*contender.inputs)
        np.asarray(result if what == "forward" else result[0])  # .numpy() would copy

    return timeit.Timer(call)


def measure(size: Size, modes: list[str], rounds: int, progress: Progress) -> list[Figures]:
    """Return the times of all contenders at this size, in every mode and pass."""
    contenders = {contender.name: contender for contender in contenders_at(size)}
    keys = list(itertools.product(modes, PASSES, contenders))
    bar = progress.add_task("", total=(rounds + 1) * len(keys))
    timers, calls = {}, {}
    for key in keys:
        progress.update(bar, advance=1, description=f"{title_of(size)}: warming up {', '.join(key)}")
        mode, what, name = key
        timers[key] = timer_of(contenders[name], mode, what)
        timers[key].timeit(2)  # a graph is traced at the first call, and optimized at the second
        calls[key] = math.ceil(SECONDS / min(timers[key].repeat(3, number=1)))
    measured: dict[tuple[str, str, str], list[float]] = {key: [] for key in keys}
    for turn, key in itertools.product(range(rounds), keys):
        progress.update(bar, advance=1, description=f"{title_of(size)}: round {turn + 1}")
        measured[key].append(1e6 * timers[key].timeit(calls[key]) / calls[key])
    progress.remove_task(bar)

    def times(key: tuple[str, str, str], other: str | None) -> float | None:
        return statistics.median(map(operator.truediv, measured[key], measured[*key[:2], other])) if other else None

    return [
        {
            **asdict(size),
            **dict(zip(("mode", "pass", "contender"), key, strict=True)),
            "microseconds": statistics.median(measured[key]),
            "function": contenders[key[-1]].function,
            "times_function": times(key, contenders[key[-1]].function),
            "times_analytic": times(key, "analytic"),
            "rounds": measured[key],
        }
        for key in keys
    ]


def title_of(size: Size) -> str:
    """Return the title for tables and the progress bar."""
    return f"batch {size.batch}, {size.latents} latents, {size.points} points"


def table_of(size: Size, figures: list[Figures]) -> Table:
    """Return a table of the figures of one size."""
    table = Table(Column(no_wrap=True), title=f"{title_of(size)}; {os.cpu_count()} cores", box=box.SIMPLE, padding=0)
    for what in PASSES:
        for column in (f"{what}, µs", "times function", "times analytic"):
            table.add_column(column, justify="right")
    rows: dict[tuple[str, str], list[str]] = {}
    for found in figures:
        ratios = (found["times_function"], found["times_analytic"])
        cells = [f"{found['microseconds']:.0f}", *(f"{ratio:.2f}" if ratio else "" for ratio in ratios)]
        rows.setdefault((found["mode"], found["contender"]), []).extend(cells)
    for mode, of_mode in itertools.groupby(rows, key=operator.itemgetter(0)):
        table.add_section()
        table.add_row(mode, style="bold")
        for _, name in of_mode:
            table.add_row(f" {name}", *rows[mode, name])
    return table


def claim_on_inputs() -> Figures:
    """Check the claim that function and class take their inputs differently."""
    import keras
    import tensorflow as tf

    called = {"function": keras.losses.kl_divergence, "class": keras.losses.KLDivergence(None)}

    def both(*inputs: Any, **named: Any) -> Figures:
        return {name: call(*inputs, **named).numpy().tolist() for name, call in called.items()}

    def dtype(call: Callable[..., Any], given: str) -> str:
        try:
            return str(call(np.array(P).astype(given), np.array(Q).astype(given)).dtype.name)
        except TypeError:
            return "TypeError"

    kinds: dict[str, Callable[[Any], Any]] = {"lists": list, "NumPy arrays": single, "tensors": tf.constant}
    checks = {"y_true=, y_pred=": both(y_true=P, y_pred=Q), **{kind: both(to(P), to(Q)) for kind, to in kinds.items()}}
    same = all(found["function"] == found["class"] for found in checks.values())
    masked = tf.constant(Q)
    masked._keras_mask = tf.constant(MASK)  # where a layer such as keras.layers.Masking leaves it
    special = {
        "of different ranks": {"(1, 2) against (1, 2, 1)": both(single(P[:1]), single(Q[:1])[..., np.newaxis])},
        "with a mask": {f"mask {MASK}": both(tf.constant(P), masked)},
        "of another type than float32": {
            f"{given} becomes": {name: dtype(call, given) for name, call in called.items()}
            for given in ("float64", "float16", "int32")
        },
    }
    for further in special.values():
        checks |= further
    differ = [
        inputs
        for inputs, further in special.items()
        if any(found["function"] != found["class"] for found in further.values())
    ]
    if not same:
        verdict = "holds: their values differ"
    elif differ:
        verdict = "holds in special cases; otherwise their values agree to the bit"
    else:
        verdict = "does not hold"
    return {
        "claim": "they take their inputs differently",
        "holds": bool(differ) or not same,
        "differ": differ,
        "verdict": verdict,
        "checks": [{"check": check, **found} for check, found in checks.items()],
    }


def claim_on_reduction() -> Figures:
    """Check the claim that the function computes directly while the class reduces and weights."""
    import keras

    p, q = single(P), single(Q)
    values = keras.losses.kl_divergence(p, q).numpy().tolist()
    checks = [{"reduction": "function", "unweighted": values, "weighted": None}]
    for reduction in ("none", "sum_over_batch_size", "sum", "mean_with_sample_weight"):
        loss = keras.losses.KLDivergence(reduction)
        unweighted, weighted = (loss(p, q, sample_weight=weight).numpy().tolist() for weight in (None, WEIGHT))
        checks.append({"reduction": f"class, {reduction}", "unweighted": unweighted, "weighted": weighted})
    same = checks[1]["unweighted"] == values
    return {
        "claim": "one computes directly, the other reduces and weights",
        "holds": same,
        "verdict": "holds; unreduced they agree to the bit" if same else "does not hold: their values differ",
        "checks": checks,
    }


def claim_on_speed(figures: list[Figures]) -> Figures:
    """Check the claim that the function is more efficient, by the ratio of the times to the same result."""
    ratios: dict[tuple[str, str, str], list[float]] = {}
    of_mode: dict[str, list[float]] = {}
    for found in figures:
        if found["contender"] in CLASSES:
            ratios.setdefault((found["mode"], found["pass"], found["contender"]), []).append(found["times_function"])
            of_mode.setdefault(found["mode"], []).append(found["times_function"])
    slower = [mode for mode, found in of_mode.items() if statistics.median(found) > 1.0 + DIFFERENCE]
    return {
        "claim": "the function is more efficient",
        "holds": bool(slower),
        "verdict": f"holds in mode {', '.join(slower)}" if slower else "does not hold",
        "checks": [
            {
                "mode": mode,
                "pass": what,
                "times function": name,
                "median": statistics.median(found),
                "least": min(found),
                "most": max(found),
            }
            for (mode, what, name), found in ratios.items()
        ],
    }


def single(vectors: list[list[float]]) -> Any:
    """Return a float32 array."""
    return np.array(vectors, np.float32)


def table_of_claim(claim: Figures) -> Table:
    """Return a table of the checks, with the verdict as its title."""
    table = Table(*claim["checks"][-1], title=f"“{claim['claim']}”: {claim['verdict']}", box=box.SIMPLE)
    for check in claim["checks"]:
        table.add_row(*map(rounded, check.values()))
    return table


def rounded(found: Any) -> str:
    """Return a number, or several, as text."""
    if isinstance(found, list):
        return " ".join(map(rounded, found))
    if isinstance(found, float):
        return f"{found:.4g}"
    return "" if found is None else str(found)


def main() -> None:
    """Measure, print the tables and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+")
    parser.add_argument("--latents", type=int, nargs="+")
    parser.add_argument("--points", type=int, nargs="+")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--quick", action="store_true", help="one size and three rounds, unless other options say otherwise"
    )
    parser.add_argument("--json", type=Path)
    parser.set_defaults(**DEFAULTS)
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    arguments = parser.parse_args()

    console = Console()
    load_tensorflow()
    figures = []
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        for size in itertools.starmap(Size, itertools.product(arguments.batches, arguments.latents, arguments.points)):
            found = measure(size, arguments.modes, arguments.rounds, progress)
            console.print(table_of(size, found))
            figures += found
    claims = [claim_on_inputs(), claim_on_reduction(), claim_on_speed(figures)]
    for claim in claims:
        console.print(table_of_claim(claim))
    if arguments.json:
        pairs = {"p": P, "q": Q, "weight": WEIGHT}
        facts = {"cores": os.cpu_count(), "pairs": pairs, "claims": claims, "figures": figures}
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
