"""The clock goes back between a run and its resume: TensorBoard shows every step once, of the later training."""

from pathlib import Path

import pytest
import tensorflow as tf

from tests.reading import scalars_of
from vae.training.tensorboard import _announce_start


def write(directory: Path, values: dict[int, float]) -> None:
    _announce_start(directory, min(values))
    with tf.summary.create_file_writer(str(directory)).as_default():
        for step, value in values.items():
            tf.summary.scalar("value", value, step)


@pytest.mark.parametrize("days", [0, 1])
def test_events_from_the_future_sort_before_new_ones(days: int, tmp_path: Path) -> None:
    write(tmp_path, {1: 1.0, 2: 2.0, 3: 3.0})
    for path in tmp_path.iterdir():
        _, _, _, seconds, *rest = path.name.split(".")
        path.rename(tmp_path / ".".join(["events.out.tfevents", f"{int(seconds) + days * 86_400 - 1}", *rest]))
    write(tmp_path, {3: 30.0, 4: 40.0})
    assert scalars_of(tmp_path)["value"] == [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]
    assert len(list(tmp_path.iterdir())) == 4
