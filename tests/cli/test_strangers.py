"""The commands on a run that a stranger sent: no code of it runs, nothing outside is written, one line says so."""

import base64
import io
import json
import marshal
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import yaml

from tests.conftest import REPOSITORY, Outcome, inherited_environment, run_here
from tests.reading import history_of, summary_of
from vae.cli import preflight
from vae.errors import UserError

pytestmark = pytest.mark.thorough

COMMANDS = {"train.py": ("resume=run", "trainer.epochs=4"), "evaluate.py": ("run=run", "nll_samples=2", "take=20")}
Attack = Callable[[Path, Path], None]


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a real run, which a stranger may change."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"


def payload(marker: Path) -> dict[str, Any]:
    """An object that writes a file when it is built."""
    return {"_target_": "logging.FileHandler", "filename": str(marker)}


def change_config(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / ".hydra" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def add_override(run: Path, override: str) -> None:
    path = run / ".hydra" / "overrides.yaml"
    path.write_text(yaml.safe_dump([*yaml.safe_load(path.read_text()), override]))


def change_models(run: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Change a member of every saved model of a run; they stay uncompressed."""
    for path in (run / "model.keras", *run.glob("checkpoints/*.keras")):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, change(name, content))


def with_encoder(node: dict[str, Any]) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name != "config.json":
            return content
        config = json.loads(content)
        config["config"]["encoder"] = node
        return json.dumps(config).encode()

    return change


def with_weights(edit: Callable[[h5py.File], None]) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith(".h5"):
            return content
        file = io.BytesIO(content)
        with h5py.File(file, "r+") as weights:
            edit(weights)
        return file.getvalue()

    return change


def in_data(run: Path, marker: Path) -> None:
    change_config(run, lambda config: config["data"].update(shape=payload(marker)))


def in_an_interpolation(run: Path, marker: Path) -> None:
    text = f"${{oc.decode:'{{_target_: logging.FileHandler, filename: {marker}}}'}}"
    change_config(run, lambda config: config["data"].update(shape=text))


def behind_a_module_of_ours(run: Path, marker: Path) -> None:
    node = {**payload(marker), "_target_": "vae.compat.logging.FileHandler"}
    change_config(run, lambda config: config["data"].update(shape=node))


def as_a_callback_that_writes(run: Path, marker: Path) -> None:
    node = {"_target_": "keras.callbacks.CSVLogger", "filename": str(marker)}
    change_config(run, lambda config: config.update(callbacks={"log": node}))
    for name, value in node.items():
        add_override(run, f"+callbacks.log.{name}={value}")


def lambda_layer(run: Path, marker: Path) -> None:
    code = compile(f"open({str(marker)!r}, 'w')", "", "eval")
    stored = {"class_name": "__lambda__", "config": {"code": base64.b64encode(marshal.dumps(code)).decode()}}
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "x", "function": stored}}
    change_models(run, with_encoder({**layer, "registered_name": None}))


def class_of_a_foreign_module(run: Path, marker: Path) -> None:
    node = {"module": "planted", "class_name": "Evil", "registered_name": "planted>Evil", "config": {}}
    change_models(run, with_encoder(node))


def function_of_the_system(run: Path, marker: Path) -> None:
    node = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    change_models(run, with_encoder(node))


def layer_that_reads_a_file(run: Path, marker: Path) -> None:
    config = {"name": "x", "vocabulary": "/etc/hostname"}
    node = {"module": "keras.layers", "class_name": "StringLookup", "registered_name": None, "config": config}
    change_models(run, with_encoder(node))


def weights_behind_a_link(run: Path, marker: Path) -> None:
    def link(weights: h5py.File) -> None:
        for part in list(weights):
            del weights[part]
            weights[part] = h5py.ExternalLink(str(marker.with_name("other.h5")), part)

    change_models(run, with_weights(link))


def pickle_for_a_model(run: Path, marker: Path) -> None:
    class Opens:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, (str(marker), "w")

    for path in (run / "model.keras", *run.glob("checkpoints/*.keras")):
        path.write_bytes(pickle.dumps(Opens()))


def zeros_for_a_model(run: Path, marker: Path) -> None:
    for path in (run / "model.keras", *run.glob("checkpoints/*.keras")):
        os.truncate(path, 2**33)


def another_model(run: Path, marker: Path) -> None:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    for path in (run / "model.keras", *run.glob("checkpoints/*.keras")):
        model.save(path)


def other_networks(run: Path, marker: Path) -> None:
    """They may ask for what XLA cannot compile, for more memory than there is, or compute for ever."""
    change_models(run, lambda name, content: content.replace(b'"activation": "tanh"', b'"activation": "relu"'))


def link_out_of_the_run(run: Path, marker: Path) -> None:
    (run / "tensorboard" / "validation" / "sprite.png").unlink(missing_ok=True)
    (run / "tensorboard" / "validation" / "sprite.png").symlink_to(marker)  # writing through it would make the file


ATTACKS: list[tuple[Attack, str]] = [
    (in_data, "add trust=logging"),
    (in_an_interpolation, "add trust=oc"),
    (behind_a_module_of_ours, "vae.compat.logging.FileHandler"),
    (as_a_callback_that_writes, "add trust=keras"),
    (lambda_layer, "keras"),
    (class_of_a_foreign_module, "keras"),
    (function_of_the_system, "keras"),
    (layer_that_reads_a_file, "keras"),
    (weights_behind_a_link, "keras"),
    (pickle_for_a_model, "keras"),
    (zeros_for_a_model, "at most 4,096 MiB"),
    (another_model, "holds a Sequential; must hold a VAE"),
    (other_networks, "its model has other networks than its configuration"),
    (link_out_of_the_run, "is a link to"),
]


@pytest.mark.parametrize(("attack", "words"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS])
def test_a_planted_run_is_refused(attack: Attack, words: str, run: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "planted.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: ...\n")
    attack(run, marker)
    before = contents(tmp_path)
    for script, arguments in COMMANDS.items():
        ended = run_here(script, *arguments, cwd=tmp_path)
        assert ended.status == 2, ended.stdout
        *warnings, line = ended.stderr.splitlines()
        assert line.startswith(f"{script}: {arguments[0]}: ")
        assert words in line
        assert all(warning.startswith(f"warning: {arguments[0]}: step-") for warning in warnings)
        assert not marker.exists()
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, int]:
    """The files below a folder, each with the time at which it was written."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}


def test_a_resume_with_another_optimizer_writes_nothing(run: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        return content.replace(b'"beta_2": 0.999', b'"beta_2": 0.9')

    change_models(run, change)
    before = contents(tmp_path)
    ended = run_here("train.py", *COMMANDS["train.py"], cwd=tmp_path)
    assert (ended.status, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert ended.stderr.startswith(
        "train.py: resume=run: the checkpoint of step 30 has another optimizer than the run's"
    )
    assert contents(tmp_path) == before


def test_a_model_of_no_numbers_is_not_measured(run: Path, tmp_path: Path) -> None:
    """No training of ours saves one. Of several evaluations, the line says which."""

    def fill(weights: h5py.File) -> None:
        for layer in weights["decoder/layers"].values():
            for values in layer.get("vars", {}).values():
                values[...] = math.nan

    change_models(run, with_weights(fill))
    before = contents(tmp_path)
    for flags in ([], ["-m"]):
        ended = run_here("evaluate.py", *flags, *COMMANDS["evaluate.py"], cwd=tmp_path)
        assert ended.status == 1
        *_, line = ended.stderr.splitlines()
        assert line.startswith("evaluate.py: run=run: the reconstructions have pixels that are NaN or infinite")
    assert contents(run).items() <= before.items()


def test_no_word_makes_a_callable_of_what_is_no_part_of_a_run(run: Path, tmp_path: Path) -> None:
    """The user trusts the word, but the payload is no class of its group."""
    change_config(run, lambda config: config.update(kl=payload(tmp_path / "marker")))
    for script, arguments in COMMANDS.items():
        ended = run_here(script, *arguments, "trust=logging", cwd=tmp_path)
        assert ended.status == 2
        assert ended.stderr.count("\n") == 1
        assert not (tmp_path / "marker").exists()


def test_a_failing_check_ends_the_command(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra only warns of an exception in a callback, and would go on without the check."""

    def fails(config: object) -> None:
        raise TypeError("not caught")

    monkeypatch.setattr(preflight, "check_resume", fails)
    ended = run_here("train.py", "resume=run", cwd=tmp_path)
    assert ended.status == 1
    assert "TypeError: not caught" in ended.stderr.splitlines()[-1]


def test_a_summary_of_odd_types_does_not_stop_the_checks(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*_: object) -> None:
        raise UserError("the checks before have passed")

    (run / "summary.json").write_text('{"status": "finished", "epochs": "many"}')
    monkeypatch.setattr(preflight, "check_writable", ends)
    assert run_here("train.py", "resume=run", cwd=tmp_path).stderr == "train.py: the checks before have passed\n"


def test_a_step_that_a_summary_tells_is_shown_as_text(run: Path, tmp_path: Path) -> None:
    """UTF-8 has no code for the last sign."""
    (run / "summary.json").write_text(json.dumps({"steps": "\x1b[2J\n\ud800"}))
    ended = run_here("evaluate.py", *COMMANDS["evaluate.py"], cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert r"what training recorded last is of step \x1b[2J\n\ud800" in ended.stdout
    ended.stdout.encode()


def test_a_history_without_the_speed_of_training_resumes(run: Path, tmp_path: Path) -> None:
    path = run / "history.csv"
    header, *rows = path.read_text().splitlines()
    place = header.split(",").index("train/steps_per_second")
    cells = [row.split(",") for row in rows]
    del cells[0][place:]
    cells[1][place] = ""
    path.write_text("\n".join([header, *map(",".join, cells)]) + "\n")
    ended = run_here("train.py", *COMMANDS["train.py"], cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    speeds = [float(row["train/steps_per_second"] or "nan") for row in history_of(run)]
    assert summary_of(run)["steps_per_second"] == pytest.approx(float(np.nanmedian(speeds)))


def test_a_seed_that_no_run_has_is_refused_before_anything_is_measured(run: Path, tmp_path: Path) -> None:
    (run / ".hydra" / "config.yaml").write_text(
        re.sub(r"^seed: .*$", f"seed: 0x{'f' * 8}", (run / ".hydra" / "config.yaml").read_text(), flags=re.MULTILINE)
    )
    before = contents(tmp_path)
    ended = run_here("evaluate.py", *COMMANDS["evaluate.py"], cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr.startswith("evaluate.py: run=run: its seed=")
    assert ended.stderr.endswith(": should be less than 2147483648\n")
    assert len(ended.stderr) < 1000
    assert contents(tmp_path) == before
    assert run_here("evaluate.py", *COMMANDS["evaluate.py"], "seed=1", cwd=tmp_path).status == 0


@pytest.mark.parametrize("data", ["x", None, {}, [], {"name": "digits"}])
def test_a_run_without_a_data_set_is_refused(data: object, run: Path, tmp_path: Path) -> None:
    change_config(run, lambda config: config.update(data=data))
    before = contents(tmp_path)
    ended = run_here("evaluate.py", *COMMANDS["evaluate.py"], cwd=tmp_path)
    assert (ended.status, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("evaluate.py: run=run: its data names no class")
    assert contents(tmp_path) == before


def start_in(folder: Path, *command: str) -> Outcome:
    """Run a command in a stranger's folder, as a user who has unpacked it there would."""
    environment = {**inherited_environment(), "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def test_modules_in_the_folder_of_a_run_are_not_imported(run: Path, tmp_path: Path) -> None:
    """Names that Python, Hydra and pandas look for on the path, and a class that the overrides name."""
    marker = tmp_path / "marker"
    for name in ("planted", "hydra_plugins/planted", "bottleneck", "numexpr", "torch", "sitecustomize"):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(marker)!r}, 'w').close()\nclass Evil: ...\n")
    add_override(run, "kl=planted.Evil")
    ended = start_in(tmp_path, str(REPOSITORY / "train.py"), "resume=run")
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "add trust=planted" in ended.stderr
    assert not marker.exists()
    (run / "model.keras").write_text("")
    ended = start_in(tmp_path, str(REPOSITORY / "evaluate.py"), "run=run")
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "model.keras" in ended.stderr
    assert not marker.exists()
    ended = start_in(tmp_path, "-P", "-m", "vae.compare", ".")
    assert ended.status == 0, ended.stderr
    assert not marker.exists()
