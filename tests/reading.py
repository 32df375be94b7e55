"""The files of a run, read by other means than the project's own."""

import csv
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

QUICK = "trainer.engine=keras"  # which compiles in a second, for what has nothing to do with the engine
TIMED = ("seconds", "train/steps_per_second")  # what may differ between two runs that are the same


def summary_of(run: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def history_of(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def events_of(directory: Path) -> EventAccumulator:
    return EventAccumulator(
        str(directory), tensor_size_guidance=dict.fromkeys(("scalars", "images", "histograms"), 0)
    ).Reload()


def scalars_of(directory: Path) -> dict[str, list[tuple[int, float]]]:
    events = events_of(directory)
    scalars = events.summary_metadata
    return {
        tag: [(event.step, float(tensor_util.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if scalars[tag].plugin_data.plugin_name == "scalars"
    }


def weights_are_equal(*models: Path) -> bool:
    """Return True if two saved models have the same weights, to the bit."""
    first, second = (keras.models.load_model(path).get_weights() for path in models)
    return all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def untimed_history_of(run: Path) -> list[dict[str, str]]:
    """The rows of history.csv without what depends on the clock."""
    return [{name: value for name, value in row.items() if name not in TIMED} for row in history_of(run)]
