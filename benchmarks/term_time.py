"""Time a compiled training step with each way to write the KL, relative to the exact one.

    python benchmarks/term_time.py [--terms kl=backend "kl=raw kl.form=softmax" ...] [--rounds 25] [--json FILE]

The step is that of `benchmarks/step_parts.py`: 128 images of MNIST's size, 50 latent variables. All programs are
compiled and warmed up. Then they take turns, round by round.

- "ratio" is the median, over the rounds, of the time over that of the exact KL in the same round, because other work on
  the machine changes from round to round.
- "control" is the exact KL once more: what its ratio differs from 1, the others cannot tell.
"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import tensorflow as tf
from estimator_time import ratio
from images import digit_images
from rich.console import Console
from rich.table import Table
from step_parts import IMAGES, step_of, times_in_turns

from vae import cli
from vae.config import build

BATCH = 128
EXACT, CONTROL = "kl=analytic", "control"
TERMS = [
    "kl=backend",
    "kl=backend kl.support=histogram",
    "kl=keras_loss",
    "kl=keras_loss kl.calibrate=true",
    "kl=monte_carlo",
    "kl=monte_carlo kl.estimator=stl",
    "kl=renyi",
    "kl=jensen_shannon",
    "kl=tc",
    "kl=mmd beta.value=1000",
    "kl=raw kl.form=parameters",
    "kl=raw kl.form=softmax",
    "kl=raw kl.form=log_var",
]


def measure(terms: list[str], rounds: int) -> list[dict[str, Any]]:
    """Return the times of a step with each term."""
    images = tf.constant(digit_images(IMAGES))
    programs = {}
    for term in [EXACT, CONTROL, *terms]:
        config = cli.compose("train", *(EXACT if term == CONTROL else term).split())
        facts = build.facts_of(config, build.build_data(config))
        programs[term] = step_of(images, BATCH, kl=build.build("kl", config.kl, **facts))
    times = times_in_turns(programs, rounds, f"batch {BATCH}")
    return [
        {"term": term, "microseconds": statistics.median(measured), "ratio": ratio(measured, times[EXACT])}
        for term, measured in times.items()
    ]


def main() -> None:
    """Measure, print the table and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--terms", nargs="+", default=TERMS, metavar="OPTIONS", help="options of train.py, one text each"
    )
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.terms, arguments.rounds)
    table = Table("term", "µs", "ratio", title=f"{os.cpu_count()} cores")
    for found in figures:
        table.add_row(found["term"], f"{found['microseconds']:.0f}", f"{found['ratio']:.2f}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
