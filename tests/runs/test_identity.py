"""Options that identify a run, and options that may change."""

from typing import Any

import pandas as pd
import pytest
import yaml

from tests.runs.test_loading import NAMES, OLD_RUNS
from vae.runs.identity import DATA_PLACES, NOT_COMPARED, differing_options, flatten

BEFORE: dict[str, Any] = {
    "seed": 0,
    "kl": {"_target_": "vae.kl.Backend", "points": None},
    "data": {"name": "digits", "dir": "old/data", "manual_dir": None, "unpacked_dir": None, "weights": "old/w.npy"},
    "trainer": {"epochs": 3, "threads": None, "chunk": 200},
}


def changed(name: str, value: Any) -> dict[str, Any]:
    group, _, option = name.partition(".")
    return {**BEFORE, group: {**BEFORE[group], option: value} if option else value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.dir", "new/data"),
        ("data.dir", None),
        ("data.manual_dir", "downloads"),
        ("data.unpacked_dir", "cache"),
        ("data.weights", "new/place/w.npy"),
        ("trainer.threads", 2),
        ("resume", "run"),
        ("metric", "kl"),
        ("kl.new_option", None),
    ],
)
def test_a_run_may_resume_with_a_change_of(name: str, value: Any) -> None:
    assert differing_options(BEFORE, changed(name, value)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data.name", "mnist"),
        ("data.weights", "old/others.npy"),
        ("data.weights", None),
        ("trainer.epochs", 5),
        ("trainer.chunk", 100),
        ("kl.points", 64),
        ("seed", 1),
    ],
)
def test_another_run_has_another(name: str, value: Any) -> None:
    assert differing_options(BEFORE, changed(name, value)) == [name]
    assert differing_options(flatten(BEFORE), flatten(changed(name, value))) == [name]


def test_a_caller_may_ignore_other_options() -> None:
    assert differing_options(BEFORE, changed("seed", 1), ignored={"seed"}) == []
    assert differing_options(BEFORE, changed("data.dir", "new"), ignored={"seed"}) == ["data.dir"]


def test_seeds_and_places_do_not_make_a_configuration() -> None:
    assert NOT_COMPARED - {"metric", "resume", "trust"} == {
        *("data.dir", "data.manual_dir", "data.unpacked_dir", "seed"),
        *("trainer.audit_interval", "trainer.checkpoint_seconds", "trainer.chunk", "trainer.threads"),
    }
    assert {"data.weights"} == DATA_PLACES - NOT_COMPARED


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_an_earlier_version_is_the_same_under_present_names(name: str) -> None:
    text = (OLD_RUNS / name / ".hydra" / "config.yaml").read_text()
    now = yaml.safe_load(text.replace("vae.objective.ELBO", "vae.objectives.ELBO"))
    assert differing_options(yaml.safe_load(text), now) == []


@pytest.mark.parametrize("name", NAMES)
def test_leaves_are_those_of_pandas(name: str) -> None:
    config = yaml.safe_load((OLD_RUNS / name / ".hydra" / "config.yaml").read_text())
    (expected,) = pd.json_normalize(config).to_dict("records")
    assert {key: str(value) for key, value in flatten(config).items()} == {k: str(v) for k, v in expected.items()}
