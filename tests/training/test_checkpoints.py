"""The part of a checkpoint that Keras does not save."""

import contextlib
import errno
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import h5py
import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reading import history_of, summary_of
from tests.training.fitting import Arrays, fit_and_record, grey_images
from vae import VAE
from vae.errors import UserError
from vae.runs.files import write_json
from vae.training import (
    Checkpoints,
    Progress,
    RunRecord,
    TrainingOptions,
    checkpoints_in,
    latest_checkpoint,
    save_model,
    trained_model,
)
from vae.training.checkpoints import load_model


def test_an_epoch_that_is_over_has_no_running_means(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    vae, options = make_vae(), TrainingOptions(epochs=2, batch_size=20)
    checkpoints = Checkpoints(RunRecord(tmp_path), (), options, images=200, start=Progress(steps=10))
    checkpoints.set_model(vae)
    for epoch in (0, 1):
        checkpoints.on_epoch_begin(epoch)
    assert all(np.all(variable.numpy() == 0) for variable in vae.metrics_variables)


def test_a_chunk_is_saved_only_within_an_epoch(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """The last chunk of an epoch is saved after the epoch, with its validation."""
    vae, options = make_vae(), TrainingOptions(epochs=2, batch_size=20, checkpoint_seconds=1e-9)
    checkpoints = Checkpoints(RunRecord(tmp_path), (), options, images=200, start=Progress())
    checkpoints.set_model(vae)
    for steps in (10, 20, 23):
        vae.batches_seen.assign(steps)
        checkpoints.on_train_batch_end(steps)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000023.keras"]


def test_no_checkpoint_has_a_weight_that_is_not_finite(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """A gradient may break the weights in a step whose own metrics are finite."""
    vae, options = make_vae(), TrainingOptions(epochs=2, batch_size=20, checkpoint_seconds=1e-9)
    checkpoints = Checkpoints(RunRecord(tmp_path), (), options, images=200, start=Progress())
    checkpoints.set_model(vae)
    weight = vae.trainable_variables[-1]
    finite = weight.numpy()
    for steps, last in ((3, finite), (6, np.full_like(finite, np.nan)), (9, np.full_like(finite, -np.inf))):
        weight.assign(last)
        vae.batches_seen.assign(steps)
        checkpoints.on_train_batch_end(0)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003.keras"]


def test_checkpoints_are_ten_seconds_apart(
    make_vae: Callable[..., VAE], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk of one step takes four seconds: the third is the first after ten seconds, and then the sixth."""
    clock = SimpleNamespace(monotonic=lambda: 1000.0 + 4.0 * float(vae.batches_seen.numpy()))
    monkeypatch.setattr("vae.training.checkpoints.time", clock)
    vae, options = make_vae(), TrainingOptions(epochs=1, batch_size=20, checkpoint_seconds=10.0)
    checkpoints = Checkpoints(RunRecord(tmp_path), (), options, images=200, start=Progress())
    checkpoints.set_model(vae)
    saved = []
    for steps in range(1, 9):
        vae.batches_seen.assign(steps)
        checkpoints.on_train_batch_end(steps)
        saved.append(len(checkpoints_in(tmp_path / "checkpoints")))
    assert saved == [0, 0, 1, 1, 1, 2, 2, 2]


def test_a_request_to_stop_is_met_at_the_end_of_any_epoch(
    make_vae: Callable[..., VAE], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[str] = []
    monkeypatch.setattr(
        "vae.training.checkpoints.stop_requests", lambda: contextlib.nullcontext(lambda: bool(requests))
    )
    vae, options = make_vae(), TrainingOptions(epochs=9, batch_size=20, checkpoint_seconds=1e9)
    with Checkpoints(RunRecord(tmp_path), (), options, images=200, start=Progress()) as checkpoints:
        checkpoints.set_model(vae)
        checkpoints.set_params({"epochs": 9})
        for epoch in range(3):
            vae.batches_seen.assign(10 * (epoch + 1))
            checkpoints.on_epoch_end(epoch)
        requests.append("SIGTERM")
        vae.batches_seen.assign(40)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.on_epoch_end(3)
    assert checkpoints_in(tmp_path / "checkpoints")[0].name == "step-00000040.keras"


@pytest.mark.thorough
def test_an_unfinished_run_s_model_is_its_newest_checkpoint(
    make_vae: Callable[..., VAE], images: NDArray[np.float32], tmp_path: Path
) -> None:
    vae = make_vae()
    vae.fit(images, verbose=0)
    for steps in (10, 20):
        vae.batches_seen.assign(steps)
        path = tmp_path / "checkpoints" / f"step-{steps:08d}.keras"
        path.parent.mkdir(exist_ok=True)
        save_model(vae, path, Progress(steps=steps))
    assert int(trained_model(tmp_path, "run").batches_seen.numpy()) == 20
    vae.batches_seen.assign(5)
    save_model(vae, tmp_path / "model.keras")  # as a run has that was resumed
    for status, steps in (("interrupted", 20), ("finished", 5)):
        write_json(tmp_path / "summary.json", {"status": status})
        assert int(trained_model(tmp_path, "run").batches_seen.numpy()) == steps
    shutil.rmtree(tmp_path / "checkpoints")
    write_json(tmp_path / "summary.json", {"status": "failed"})
    assert int(trained_model(tmp_path, "run").batches_seen.numpy()) == 5


def test_a_saved_model_is_on_the_disk(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """A machine that loses its power then keeps it."""
    synced = []
    with mock.patch.object(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino)):
        save_model(make_vae(), tmp_path / "model.keras")
    assert synced == [(tmp_path / "model.keras").stat().st_ino, tmp_path.stat().st_ino]


class Diary(keras.callbacks.Callback):
    """A callback with an attribute of every kind that a checkpoint keeps, and one that it does not."""

    def __init__(self, *values: Any) -> None:
        super().__init__()
        self.number, self.word, self.matrix, self.weights = values
        self.open_file = object()


def test_callbacks_of_one_class_get_their_own_states_back(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    kept = [
        (0.1 + number, f"best {number}", np.full((2, 3), number), [np.full(place, number) for place in range(12)])
        for number in range(2)
    ]
    options = TrainingOptions(epochs=1, batch_size=20)
    saving = Checkpoints(RunRecord(tmp_path), [Diary(*values) for values in kept], options, 60, start=Progress())
    vae = make_vae()
    vae.optimizer.build(vae.trainable_variables)
    saving.set_model(vae)
    saving.set_params({"epochs": 1})
    saving.on_epoch_end(0)
    _, progress = latest_checkpoint(tmp_path / "checkpoints", "resume")
    restored = [Diary(0.0, "", np.zeros(1), []) for _ in kept]
    Checkpoints(RunRecord(tmp_path), restored, options, 60, start=progress).on_train_begin()
    for diary, (number, word, matrix, weights) in zip(restored, kept, strict=True):
        assert (diary.number, diary.word) == (number, word)
        assert (type(diary.number), type(diary.word)) == (float, str)
        np.testing.assert_array_equal(diary.matrix, matrix)
        assert [weight.tolist() for weight in diary.weights] == [weight.tolist() for weight in weights]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_progress(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != "progress.npz"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def with_progress(path: Path, write: Callable[..., None], steps: int | None = None) -> None:
    """Put the progress there again, as another function writes it or of another step."""
    with zipfile.ZipFile(path) as archive, np.load(io.BytesIO(archive.read("progress.npz"))) as members:
        progress = dict(members)
    without_progress(path)
    content = io.BytesIO()
    write(content, **{**progress, **({} if steps is None else {"steps": np.asarray(steps)})})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("progress.npz", content.getvalue())


def compressed(path: Path) -> None:
    """Gigabytes of zeros take a few megabytes, and as much memory as they are."""
    with_progress(path, np.savez_compressed)


def of_another_step(path: Path) -> None:
    with_progress(path, np.savez, -7)


def with_a_member_of_nothing(path: Path) -> None:
    with_progress(path, lambda file, **members: np.savez(file, nothing=0, **members))


def with_a_member_that_is_no_array(path: Path) -> None:
    def write(file: io.BytesIO, **members: Any) -> None:
        np.savez(file, **members)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("0-Diary/number", b"7")

    with_progress(path, write)


def with_a_value_twice(path: Path) -> None:
    twice = {"0-Diary/number": np.zeros(3), "0-Diary/number/000000": np.zeros(3)}
    with_progress(path, lambda file, **members: np.savez(file, **members, **twice))


def with_means_that_are_no_list(path: Path) -> None:
    with_progress(path, lambda file, **members: np.savez(file, **members, **{"metrics/values": np.zeros(3)}))


def change_config(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def with_parts_that_do_not_go_together(path: Path) -> None:
    """The latent variables of the model are five, and those of its networks four."""
    change_config(path, lambda config: config["config"]["latent"]["config"].update(size=5))


def without_an_optimizer(path: Path) -> None:
    change_config(path, lambda config: config.pop("compile_config"))


def of_a_broken_step(path: Path) -> None:
    with_progress(path, lambda file, **members: np.savez(file, **{**members, "steps": np.float64(members["steps"])}))


def stopped_in_part(path: Path) -> None:
    with_progress(path, lambda file, **members: np.savez(file, **{**members, "stopped": np.zeros(3, bool)}))


@pytest.fixture(scope="module")
def trained(make_vae: Callable[..., VAE], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs. Tests copy it."""
    directory = tmp_path_factory.mktemp("trained")
    fit_and_record(make_vae(), directory, Arrays(grey_images(60), grey_images(20)), epochs=4)
    return directory


def with_metrics_of_keras(path: Path) -> None:
    change_config(path, lambda config: config["compile_config"].update(metrics=["mae"]))


@pytest.mark.parametrize(
    "damage",
    [
        *(cut, without_progress, compressed, of_another_step, of_a_broken_step, stopped_in_part),
        *(with_a_member_of_nothing, with_a_member_that_is_no_array, with_a_value_twice, with_means_that_are_no_list),
        *(with_parts_that_do_not_go_together, without_an_optimizer, with_metrics_of_keras),
    ],
)
def test_of_two_checkpoints_the_one_that_is_whole_is_taken(
    damage: Callable[[Path], None], trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    newest, before = checkpoints_in(tmp_path / "checkpoints")
    assert {*tmp_path.rglob("step-*")} == {newest, before}
    damage(newest)
    with pytest.warns(UserWarning, match=f"resume: {newest.name} is .*damaged.*; using the checkpoint before it"):
        model, progress = latest_checkpoint(tmp_path / "checkpoints", "resume")
    assert progress.steps == int(model.batches_seen.numpy()) == int(before.stem.removeprefix("step-")) < 12
    damage(before)
    damaged = pytest.raises(UserError, match=f"resume: {before.name} is .*damaged")
    with pytest.warns(UserWarning, match="using the checkpoint before it"), damaged:
        latest_checkpoint(tmp_path / "checkpoints", "resume")


def test_a_saved_model_is_compiled_by_its_optimizer_alone(trained: Path, tmp_path: Path) -> None:
    """Other options of `compile` in its file are ignored: the training loop would fail with them."""
    path = tmp_path / "model.keras"
    newest = checkpoints_in(trained / "checkpoints")[0]
    shutil.copy(newest, path)
    others = {"steps_per_execution": 0, "run_eagerly": True}
    change_config(path, lambda config: config["compile_config"].update(others))
    model, plain = load_model(path, "run"), load_model(newest, "run")
    assert (model.steps_per_execution, model.run_eagerly) == (1, False)
    for mine, expected in zip(model.optimizer.variables, plain.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_of_many_checkpoints_the_newest_are_tried(tmp_path: Path) -> None:
    """Each that a stranger sent may take its time; a run that was killed has three at most."""
    for steps in range(1, 30):
        (tmp_path / f"step-{steps:08d}.keras").write_text("no archive")
    with pytest.warns(UserWarning, match="damaged") as warned, pytest.raises(UserError, match=r"step-00000027.keras"):
        latest_checkpoint(tmp_path, "resume")
    assert [str(one.message).split()[1] for one in warned] == [f"step-{steps:08d}.keras" for steps in (29, 28, 27)]


@pytest.mark.parametrize(
    ("problem", "shown"), [("no such layer\nArguments received: many", "no such layer"), (400 * "x", 300 * "x")]
)
def test_the_reason_of_a_damage_is_the_start_of_its_first_line(problem: str, shown: str, tmp_path: Path) -> None:
    h5py.File(tmp_path / "weights.h5", "w").close()
    with zipfile.ZipFile(tmp_path / "step-00000003.keras", "w") as archive:
        archive.write(tmp_path / "weights.h5", "model.weights.h5")
    with (
        mock.patch("keras.models.load_model", side_effect=ValueError(problem)),
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(UserError, match=rf"^resume: step-00000003.keras is .* \({shown}\)$"),
    ):
        latest_checkpoint(tmp_path, "resume")


@pytest.mark.thorough
def test_checkpoints_follow_the_first_and_the_last_epoch(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """Three steps an epoch; ten epochs take less than the thousand seconds between two others."""
    data = Arrays(grey_images(60), grey_images(20))
    fit_and_record(make_vae(), tmp_path, data, epochs=10, checkpoint_seconds=1000.0)
    assert [path.stem for path in checkpoints_in(tmp_path / "checkpoints")] == ["step-00000030", "step-00000003"]


@pytest.mark.thorough
def test_a_disk_that_fills_between_two_checkpoints_loses_none(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """A resume from the first one trains the later epochs again, whose rows the history then has once."""
    data, vae = Arrays(grey_images(60), grey_images(20)), make_vae()
    save, saved = vae.save, []

    def fill(path: Path) -> None:
        save(path)
        saved.append(path)
        if len(saved) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with mock.patch.object(vae, "save", fill), pytest.raises(UserError, match="No space left on device"):
        fit_and_record(vae, tmp_path, data, epochs=5, checkpoint_seconds=1000.0)
    assert summary_of(tmp_path)["status"] == "failed"
    assert [path.stem for path in checkpoints_in(tmp_path / "checkpoints")] == ["step-00000003"]
    assert not list((tmp_path / "checkpoints").glob(".*"))
    model, start = latest_checkpoint(tmp_path / "checkpoints", "resume")
    assert start.steps == 3
    fit_and_record(model, tmp_path, data, epochs=5, start=start, checkpoint_seconds=1000.0)
    whole = make_vae()
    fit_and_record(whole, tmp_path / "whole", data, epochs=5)
    assert [row["epoch"] for row in history_of(tmp_path)] == ["1", "2", "3", "4", "5"]
    for resumed, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(resumed, expected)


def test_a_file_that_is_no_checkpoint_of_ours_is_passed_over(tmp_path: Path) -> None:
    for name in ("step-00000010.keras", "step-00000009.keras", "step-x.keras", "step-.keras", "step--1.keras"):
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints_in(tmp_path)] == ["step-00000010.keras", "step-00000009.keras"]
