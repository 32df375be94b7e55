"""Time a compiled training step with each Monte Carlo estimator of the KL, in microseconds.

    python benchmarks/estimator_time.py [--estimators total stl antithetic stratified] [--samples 1 4 16]
                                        [--batches 128] [--rounds 15] [--json FILE]

The estimators are those of `benchmarks/gradient_noise.py`, and the step is that of `benchmarks/step_parts.py`. All
programs are compiled and warmed up. Then they take turns, round by round.

- "µs" is the median over the rounds, and "least" the least time.
- "ratio" is the median, over the rounds, of the time over that of "total" with as many samples in the same round. Two
  estimators are compared within a round because other work on the machine changes from round to round.
"""

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import tensorflow as tf
from drawn_gradients import ESTIMATORS, regularizers
from images import digit_images
from rich.console import Console
from rich.table import Table
from step_parts import IMAGES, step_of, times_in_turns


def measure(arguments: argparse.Namespace, batch: int) -> list[dict[str, Any]]:
    """Return the times of every estimator at a batch size."""
    images = tf.constant(digit_images(IMAGES))
    found = regularizers(arguments.estimators, arguments.samples)
    programs = {name: step_of(images, batch, kl=regularizer) for name, regularizer in found.items()}
    times = times_in_turns(programs, arguments.rounds, f"batch {batch}")
    return [
        {
            "batch": batch,
            "estimator": estimator,
            "samples": samples,
            "microseconds": statistics.median(measured),
            "least": min(measured),
            "ratio": ratio(measured, times.get(("total", samples))),
        }
        for (estimator, samples), measured in times.items()
    ]


def ratio(measured: list[float], reference: list[float] | None) -> float | None:
    """Return the median ratio of two lists of times within their rounds, or None without a reference."""
    if reference is None:
        return None
    return statistics.median(one / other for one, other in zip(measured, reference, strict=True))


def main() -> None:
    """Measure, print the table and write the figures if `--json` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    estimators = ["total", "stl", "antithetic", "stratified"]
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=estimators)
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--batches", type=int, nargs="+", default=[128])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = [found for batch in arguments.batches for found in measure(arguments, batch)]
    table = Table("batch", "estimator", "samples", "µs", "least", "ratio", title=f"{os.cpu_count()} cores")
    for found in figures:
        named = (str(found[name] or "") for name in ("batch", "estimator", "samples"))
        ratio_text = "" if found["ratio"] is None else f"{found['ratio']:.2f}"
        table.add_row(*named, f"{found['microseconds']:.0f}", f"{found['least']:.0f}", ratio_text)
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
