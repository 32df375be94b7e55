"""The comparison as a run of TensorBoard, read by TensorBoard."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG
from tensorboard.util import tensor_util

from tests.compare.conftest import MakeRun
from tests.conftest import REPOSITORY, Outcome
from tests.reading import events_of, scalars_of
from vae.cli.comparing import update_comparison
from vae.compare import conclusions, difference_curves, load_runs, write_tensorboard


def strings(events: EventAccumulator, tag: str) -> list[bytes]:
    (event,) = events.Tensors(tag)
    return [*np.atleast_1d(tensor_util.make_ndarray(event.tensor_proto))]


def test_curves_are_the_differences_with_their_bands(runs: Path, command: Callable[..., Outcome]) -> None:
    ended = command("runs", "--tensorboard")
    assert ended.status == 0, ended.stderr
    written = runs / "comparison"
    assert ended.stderr.startswith("wrote runs/comparison/events.out.tfevents.")
    found, curves = scalars_of(written), difference_curves(load_runs(runs))
    for name, rows in curves.groupby("configuration"):
        for prefix, column in (("difference", "difference"), ("difference_low", "low"), ("difference_high", "high")):
            steps, values = zip(*found[f"{prefix}/{name}"], strict=True)
            assert steps == (1, 2)
            assert values == pytest.approx(tuple(rows[column]), rel=1e-6)
    assert len(found) == 3 * 2  # the baseline has no difference
    events = events_of(written)
    (content,) = strings(events, CONFIG_SUMMARY_TAG)
    (category,) = layout_pb2.Layout.FromString(content).category
    assert {series.value for chart in category.chart for series in chart.margin.series} <= {*found}
    assert {series.lower for chart in category.chart for series in chart.margin.series} <= {*found}
    (text,) = strings(events, "comparison")
    for sentence in conclusions(load_runs(runs)):
        assert sentence in text.decode()
    width, height, picture = strings(events, "differences")
    assert picture.startswith(b"\x89PNG")
    assert (width, height) == tuple(str(int.from_bytes(picture[at : at + 4])).encode() for at in (16, 20))


def test_an_open_tensorboard_follows(runs: Path, make_run: MakeRun) -> None:
    """A second comparison replaces the first, without duplicate steps."""
    directory = runs / "comparison"
    first = write_tensorboard(load_runs(runs), directory)
    events = events_of(directory)
    for seed in range(3):
        make_run(f"tc-{seed}", ["data=digits", "kl=tc"], [-40.0, -50.0 - seed], seed, kl="tc")
    write_tensorboard(load_runs(runs), directory)
    assert not first.exists()
    assert len([*directory.iterdir()]) == 1
    events.Reload()
    assert [event.step for event in events.Tensors("difference/kl=tc")] == [1, 2]
    assert [event.step for event in events.Tensors("difference/kl=backend")] == [1, 2]
    assert "kl=tc" in strings(events, "comparison")[0].decode()


@pytest.mark.thorough
def test_two_writers_at_once_leave_one_comparison(runs: Path) -> None:
    command = [sys.executable, "-m", "vae.compare", str(runs), "--tensorboard"]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=REPOSITORY) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    events = events_of(runs / "comparison")
    assert [event.step for event in events.Tensors("difference/kl=backend")] == [1, 2]
    write_tensorboard(load_runs(runs), runs / "comparison")
    assert len([*(runs / "comparison").iterdir()]) == 1  # nothing half written or forgotten


def test_a_sweep_that_goes_on_is_compared_once_a_minute(runs: Path, make_run: MakeRun) -> None:
    begun = runs / "multirun.yaml"
    begun.touch()
    update_comparison(runs)
    assert not (runs / "comparison").exists()
    os.utime(begun, (0, 0))
    update_comparison(runs)
    (first,) = (runs / "comparison").iterdir()
    update_comparison(runs)
    assert [*(runs / "comparison").iterdir()] == [first]
    os.utime(first, (0, 0))
    update_comparison(runs)
    assert not first.exists()
    (runs / "empty").mkdir()
    update_comparison(runs / "empty")  # has nothing to compare


def test_hostile_names_are_written(runs: Path, make_run: MakeRun) -> None:
    for seed in range(2):
        make_run(f"x{seed}", ["data=digits", "kl=<script>alert(1)</script>|\n$x$"], [-40.0, -30.0 - seed], seed)
    write_tensorboard(load_runs(runs), runs / "comparison")
    assert any("<script>" in tag for tag in scalars_of(runs / "comparison"))


@pytest.mark.parametrize("arguments", [["--tensorboard", "--baseline=kl=other"], ["--tensorboard", "--margin=-1"]])
def test_a_mistake_writes_nothing(runs: Path, command: Callable[..., Outcome], arguments: list[str]) -> None:
    assert command("runs", *arguments).status == 2
    assert not (runs / "comparison").exists()


def test_a_folder_that_cannot_be_written_is_named(runs: Path, command: Callable[..., Outcome]) -> None:
    (runs / "comparison").write_text("a file")
    ended = command("runs", "--tensorboard")
    assert ended.status == 2
    assert ended.stderr.startswith("vae.compare: DIR=runs/comparison: File exists; name another folder")
    assert ended.stderr.count("\n") == 1


def test_it_needs_no_tensorflow(runs: Path, no_tensorflow: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "vae.compare", str(runs), "--tensorboard"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{no_tensorflow}:{REPOSITORY}", "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
