"""Classes and resolvers that the configuration in a run's folder may name, with and without `trust=`."""

from pathlib import Path
from typing import Any

import pytest

from tests.config.test_stored import write_config
from vae.cli import config_source
from vae.config.stored import plain, stored_config
from vae.errors import UserError

LOGGER = "keras.callbacks.CSVLogger"
RECORDER = "vae.training.record.EpochRecorder"


@pytest.mark.parametrize(
    ("config", "named", "word"),
    [
        ({"data": {"shape": {"_target_": "logging.FileHandler"}}}, "logging.FileHandler", "logging"),
        ({"callbacks": {"x": [{"y": {"_target_": "logging.FileHandler"}}]}}, "logging.FileHandler", "logging"),
        ({"unknown": {"_target_": "os.system"}}, "os.system", "os"),
        ({"trainer": {"_target_": "os.system"}}, "os.system", "os"),
        ({"data": {"shape": "${oc.decode:'{_target_: logging.FileHandler}'}"}}, "${oc.decode:}", "oc"),
        ({"data": {"shape": "${ oc.create : {_target_: logging.FileHandler}}"}}, "${oc.create:}", "oc"),
        ({"data": {"dir": "gs://bucket/${oc.env:SECRET}"}}, "${oc.env:}", "oc"),
        ({"data": {"dir": "${quotient:1,${oc.env:SECRET}}"}}, "${oc.env:}", "oc"),
        ({"kl": {"_target_": "${metric}", "x": 1}, "metric": "os.system"}, "os.system", "os"),
        ({"callbacks": {"log": {"_target_": LOGGER, "filename": "x"}}}, LOGGER, "keras"),
        ({"data": {"dir": "${hydra:runtime.cwd}"}}, "${hydra:}", "hydra"),
        ({"data": {"name": "huggingface:mnist"}}, "huggingface:mnist", "huggingface"),
    ],
)
def test_a_word_is_needed(config: dict[str, Any], named: str, word: str, tmp_path: Path) -> None:
    run = write_config(tmp_path / "run", config)
    with pytest.raises(UserError) as caught:
        stored_config(run, "resume")
    assert f"resume={run}" in str(caught.value)
    assert named in str(caught.value)
    assert f"add trust={word} " in str(caught.value)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"data": {"shape": {"_target_": "vae.compat.logging.FileHandler"}}}, "vae.compat.logging"),
        ({"data": {"_target_": "vae.compat.tempfile._os.system"}}, "there is no module"),
        ({"model": {"layers": [{"_target_": "keras.layers.TFSMLayer"}]}}, "LearningRateSchedule"),
        ({"data": {"_target_": "keras.callbacks.BackupAndRestore"}}, "vae.data.DataSource"),
        ({"callbacks": {"x": {"_target_": "keras.utils.get_file"}}}, "there is no class"),
        (
            {"callbacks": {"x": {"_target_": RECORDER, "record": None}}},
            f"{RECORDER}: every run has this",
        ),
        ({"metric": "$", "data": {"shape": "${metric}{oc.decode:'{_target_: logging.FileHandler}'}"}}, "${oc.decode"),
        ({"data": {"shape": r"\${oc.decode:'{_target_: logging.FileHandler}'}"}}, "oc.decode"),
        ({"a": "${b}", "b": "${a}"}, "cannot be resolved"),
        ({"a": "${${b}:x}", "b": "oc.env"}, "${b"),
        ({"a": "${missing.node}"}, "missing"),
    ],
)
def test_no_word_of_ours_opens_what_does_not_belong(config: dict[str, Any], wrong: str, tmp_path: Path) -> None:
    run = write_config(tmp_path / "run", config)
    with pytest.raises(UserError) as caught:
        stored_config(run, "run", ["vae", "keras"])
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_runs_of_ours_name_needs_none(tmp_path: Path) -> None:
    config_source.register()  # of quotient
    config = {
        "latent": {"_target_": "vae.latents.GaussianLatent", "size": 4},
        "beta": {"value": "${quotient:784,${latent.size}}"},
        "optimizer": {
            "_target_": "keras.optimizers.Adam",
            "learning_rate": {"_target_": "keras.optimizers.schedules.CosineDecay", "decay_steps": 3},
        },
        "callbacks": {"stop": {"_target_": "keras.callbacks.EarlyStopping", "patience": 2}},
        "data": {"_target_": "vae.data.ImageSource", "name": "mnist/config:3.0.1"},
    }
    stored = stored_config(write_config(tmp_path / "run", config), "run")
    assert stored.beta.value == 196.0
    assert plain(stored)["callbacks"] == config["callbacks"]


def test_a_word_allows_what_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/somewhere")
    config = {"data": {"dir": "${oc.env:DATA}"}, "callbacks": {"log": {"_target_": LOGGER, "filename": "x"}}}
    run = write_config(tmp_path / "run", config)
    with pytest.raises(UserError, match=r"CSVLogger.*add trust=\[keras,oc\]"):
        stored_config(run, "run", ["oc"])
    assert stored_config(run, "run", ["oc", "keras"]).data.dir == "/somewhere"


def test_the_source_of_a_module_is_not_read_before_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The defaults of a class are evaluated from its source."""
    marker = tmp_path / "marker"
    (tmp_path / "planted.py").write_text(
        f"class Evil:\n    def __init__(self, a=open({str(marker)!r}, 'w').close()): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="trust=planted"):
        stored_config(write_config(tmp_path / "run", {"kl": {"_target_": "planted.Evil"}}), "run")
    assert not marker.exists()
