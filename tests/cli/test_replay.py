"""The overrides that a resume takes from a run's folder."""

from pathlib import Path

import pytest
import yaml

from vae.cli.arguments import imports_from_here
from vae.cli.replay import stored_overrides
from vae.errors import UserError


def write_overrides(directory: Path, content: object) -> str:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(content))
    return str(directory)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("--experimental-rerun=config.pickle", "no override"),
        ("--config-dir=run", "no override"),
        ("-m", "no override"),
        ("+kl@hydra.callbacks.x=planted.Evil", "no override"),
        ("+kl@_global_.hydra.callbacks.x=planted.Evil", "no override"),
        ("+kl@audit:hydra.callbacks=planted.Evil", "no override"),
        ("+kl@audit.x=planted.Evil", "trust=planted"),
        (" hydra.callbacks.x={_target_:logging.FileHandler}", "no override"),
        ({"kl": "analytic"}, "no override"),
        ("experiment=../../../run/planted", "leads out"),
        ("kl=[analytic,../planted]", "leads out"),
        ("kl=analytic,backend", "for one run"),
        ("seed=[", "does not take"),
        ("kl=planted.Evil", "trust=planted"),
        ("kl._target_=planted.Evil", "trust=planted"),
        ("+callbacks.x={_target_:logging.FileHandler,filename:x}", "trust=logging"),
        ("++optimizer.x={y:[{_target_:logging.FileHandler}]}", "trust=logging"),
        ("data.dir=${oc.env:SECRET}", "trust=oc"),
        ("data.dir='${oc.env:SECRET}'", "trust=oc"),
        ("+callbacks.x._target_=keras.callbacks.CSVLogger", "trust=keras"),
        ("data.name='huggingface:x'", "trust=huggingface"),
        ("+audit.x='${hydra:overrides.task.0}${hydra:overrides.task.0}'", "trust=hydra"),
        ("+audit.x=" + "[" * 5000, "for one run"),
        ("+audit" + ".x" * 9000 + "=1", "more often than any run does"),
        ("+audit.x=[" + "1," * 10_000 + "1]", "2 overrides of 20,018 characters, and at most 1,000 of 20,000"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_option_of_a_run_is_refused(override: object, reason: str, tmp_path: Path) -> None:
    run = write_overrides(tmp_path / "run", ["seed=1", override])
    with pytest.raises(UserError, match=reason) as caught:
        list(stored_overrides(run, "resume", []))
    assert str(caught.value).startswith(f"resume={run}: ")
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    run = write_overrides(tmp_path / "run", [])
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text(f"- 0x{'f' * 9000}\n")
    with pytest.raises(UserError, match=r"holds \(a number of thousands of digits\), which is no override"):
        list(stored_overrides(run, "resume", []))


def test_more_overrides_than_any_run_has_are_refused_unread(tmp_path: Path) -> None:
    run = write_overrides(tmp_path / "run", ["seed=1"] * 1001)
    with pytest.raises(UserError, match="1,001 overrides of 6,006 characters"):
        list(stored_overrides(run, "resume", []))


def test_hydra_s_own_and_the_word_to_trust_are_for_the_user_to_give(tmp_path: Path) -> None:
    given = ["hydra.run.dir=/", "+hydra.callbacks.x._target_=os.system", "hydra/launcher=joblib", "trust=os", "seed=1"]
    assert list(stored_overrides(write_overrides(tmp_path / "run", given), "resume", [])) == [("seed", "seed=1")]


def test_the_overrides_of_a_run_are_all_taken(tmp_path: Path) -> None:
    given = [
        "kl=keras_loss",
        "experiment=recipe/keras_example",
        "kl.reduction=sum",
        "model.hidden=[16,16]",
        "++optimizer.clipnorm=1.0",
        "~callbacks.early_stopping",
        "data.dir='/a folder/../b'",
        "beta.value=${latent.size}",
        "optimizer.learning_rate={_target_:vae.schedules.Linear,start:0.01,end:0.0,length:2}",
        "callbacks=early_stopping",
        "+kl@audit.mine=backend",
        "latent=my_module.MyLatent",
    ]
    taken = list(stored_overrides(write_overrides(tmp_path / "run", given), "resume", ["my_module"]))
    assert [text for _, text in taken] == given
    assert [name for name, _ in taken][:3] == ["kl", "experiment", "kl.reduction"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["kl=analytic"], True),
        (["resume=run"], False),
        (["run=run", "seed=1"], False),
        (["resume=run", "trust=null"], True),
        (["resume=run", "trust=[a, b]"], True),
        (["resume=run", "kl._target_=my.KL"], True),
        (["run=run", "--config-dir", "mine"], True),
    ],
)
def test_a_command_that_reads_a_run_imports_from_the_current_folder_only_if_asked_to(
    arguments: list[str], expected: bool
) -> None:
    assert imports_from_here(arguments) is expected
