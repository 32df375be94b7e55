"""Files that are whole or missing, their paths, and what `vae.runs` loads."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import REPOSITORY
from tests.runs.test_loading import OLD_RUNS
from vae.runs import RunDirectory, Status, read_summary
from vae.runs.files import atomic_path, read_json, remove_unfinished, write_json
from vae.runs.summary import is_finished


def write_half_and_fail(path: Path) -> None:
    path.write_text("half")
    raise TypeError


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json(path, {"value": 1.0, "list": [1, float("nan")], "nested": {"inf": float("inf")}})
    assert json.loads(path.read_text()) == {"value": 1.0, "list": [1, None], "nested": {"inf": None}}
    with pytest.raises(TypeError), atomic_path(path) as temporary:
        write_half_and_fail(temporary)
    assert json.loads(path.read_text())["value"] == 1.0
    assert [file.name for file in tmp_path.iterdir()] == ["summary.json"]


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    path, synced = tmp_path / "model.keras", []

    def note(descriptor: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), path.exists()))

    with mock.patch.object(os, "fsync", note), atomic_path(path, durable=True) as temporary:
        temporary.write_text("whole")
    assert synced == [(str(temporary), False), (str(tmp_path), True)]


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    left = []
    for path in (tmp_path / "summary.json", tmp_path / "checkpoints" / "step-00000010.keras"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("whole")
        with contextlib.suppress(FileNotFoundError), atomic_path(path) as temporary:
            left.append(temporary)
    for name in (".lock", ".hydra", ".gitignore"):
        (tmp_path / name).touch()
    whole = {*tmp_path.rglob("*")}
    for path in left:
        path.write_text("half")
    remove_unfinished(tmp_path)
    assert {*tmp_path.rglob("*")} == whole


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000])
def test_damaged_json_is_empty(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    assert read_json(tmp_path / "file.json") == {}


def test_the_paths_are_those_of_a_real_run() -> None:
    run = RunDirectory(OLD_RUNS / "keras_loss")
    for path in (run.summary, run.history, run.evaluation, run.model, run.config, run.overrides):
        assert path.is_file()
    assert run.checkpoints.is_dir()
    assert RunDirectory(run).path == run.path
    assert str(run) == str(OLD_RUNS / "keras_loss")


def test_the_status_of_a_run(tmp_path: Path) -> None:
    assert read_summary(OLD_RUNS / "mixture")["status"] == Status.FINISHED
    assert is_finished(OLD_RUNS / "mixture")
    assert read_summary(tmp_path) == {}
    assert not is_finished(tmp_path)


def test_vae_runs_is_light_to_import() -> None:
    program = (
        "import sys, vae.runs; loaded = lambda: sorted({'numpy', 'pandas', 'tensorflow'} & {*sys.modules});"
        "before = loaded(); vae.runs.differing_options, vae.runs.RunDirectory, vae.runs.QuantityName;"
        "after = loaded(); vae.runs.load_runs; print(before, after, 'tensorflow' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[] [] False"
