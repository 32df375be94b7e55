"""The configuration that a run left, and the classes that may be loaded from it."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from tests.conftest import REPOSITORY, run_here
from vae.config.stored import plain, stored_config
from vae.errors import UserError

OLD_RUNS = sorted((REPOSITORY / "tests" / "runs" / "of_0_1_0").glob("*/.hydra"))


def write_config(directory: Path, config: object) -> Path:
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    (directory / ".hydra" / "overrides.yaml").write_text("[]\n")
    return directory


@pytest.mark.parametrize("hydra", OLD_RUNS, ids=lambda path: path.parent.name)
def test_a_run_of_0_1_0_is_completed_by_the_options_that_came_later(hydra: Path) -> None:
    stored = yaml.safe_load((hydra / "config.yaml").read_text())
    config = plain(stored_config(hydra.parent, "run"))
    assert config["objective"]["_target_"] == "vae.objectives.ELBO"
    assert config["objective"]["steps_per_epoch"] is None
    for group in ("kl", "latent", "data", "model", "trainer", "beta"):
        assert stored[group].items() <= config[group].items()


@pytest.mark.parametrize(
    ("config", "module"),
    [
        ({"kl": {"_target_": "shutil.copyfile", "src": "a", "dst": "b"}}, "shutil"),
        ({"callbacks": {"mine": {"_target_": "os.system", "command": "true"}}}, "os"),
        ({"optimizer": {"_target_": "keras.optimizers.Adam", "learning_rate": {"_target_": "my.Rate"}}}, "my"),
        ({"model": {"layers": [{"_target_": "my_layers.Layer"}]}}, "my_layers"),
    ],
)
def test_a_foreign_class_is_refused_unless_it_is_trusted(config: object, module: str, tmp_path: Path) -> None:
    run = write_config(tmp_path / "run", config)
    with pytest.raises(UserError, match=rf"run=.*{module}.*trust={module}") as caught:
        stored_config(run, "run")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "nodes",
    [
        {"x0": "a" * 10} | {f"x{number}": f"${{x{number - 1}}}" * 2 for number in range(1, 41)},
        {"x0": {"a": 1}} | {f"x{number}": dict.fromkeys("ab", f"${{x{number - 1}}}") for number in range(1, 41)},
        {"x0": [1]} | {f"x{number}": [f"${{..x{number - 1}}}", f"${{x{number - 1}[0]}}"] for number in range(1, 41)},
        {"x0": {"v": "a"}, "p0": "${x0}"}
        | {f"x{number}": {"v": f"${{p{number - 1}.v}}" * 2} for number in range(1, 41)}
        | {f"p{number}": f"${{x{number}}}" for number in range(1, 41)},
        {"a0": [{"v": "a"}], "b": "${a0}"}
        | {f"a{number}": [{"v": f"${{a{number - 1}.00.v}}${{a{number - 1}[0_0].v}}"}] for number in range(1, 41)},
        {"za": "${zb}"}
        | {"zb": {"c0": "a" * 10} | {f"c{number}": f"${{za.c{number - 1}}}" * 2 for number in range(1, 41)}},
        {"a": "${now:" + "%1500Y" * 160 + "}", "b": ["${a}"] * 900},
        {"a": "%1500Y" * 6, "b": "${now:${a}${now:${a}}}"},
        {"d0": "x"}
        | {f"d{number}": dict.fromkeys((1, 2), f"${{d{number - 1}}}") | {"1": "", "2": ""} for number in range(1, 41)},
        {"s": "", "a": ["${s}" * 200] * 50, "b": ["${a}"] * 20},
    ],
    ids=["text", "options", "lists", "through", "indices", "of a parent", "dates", "in dates", "keys", "empty"],
)
def test_references_that_double_a_configuration_are_refused(nodes: dict[str, object], tmp_path: Path) -> None:
    """Forty lines describe 10^12 values."""
    with pytest.raises(UserError, match=r"run=.*cannot be resolved.*refer to others") as caught:
        stored_config(write_config(tmp_path / "run", nodes), "run")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="refer to others"):
        plain(OmegaConf.create(nodes))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ({f"a{number}": number for number in range(1001)}, "it has 1,001 parts, and at most 1,000 are read"),
        ({"a": [[0] * 500, [1] * 502]}, "it has 1,005 parts"),
        ({"a": [{} for _ in range(1000)]}, "it has 1,001 parts"),
        ({"a": "${" * 501}, "it has a reference in a text of more than 1,000 characters"),
        ({"a": {"b": "${a.b" + "c" * 1000}}, "it has a reference in a text"),
    ],
    ids=["options", "lists", "empty", "brackets", "a name"],
)
def test_what_would_take_minutes_to_parse_is_refused_unread(nodes: object, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"run=.*is damaged .{reason}") as caught:
        stored_config(write_config(tmp_path / "run", nodes), "run")
    assert len(str(caught.value)) < 1000


def test_a_number_without_a_decimal_form_is_refused(tmp_path: Path) -> None:
    """Python writes no integer of more than 4,300 digits, and reads one of them in hexadecimal digits."""
    path = write_config(tmp_path / "run", {})
    (path / ".hydra" / "config.yaml").write_text(f"zz: 0x{'f' * 5000}\n")
    with pytest.raises(UserError, match=r"run=.*cannot be resolved \(Exceeds the limit"):
        stored_config(path, "run")


def test_a_mapping_in_the_place_of_a_list_is_refused(tmp_path: Path) -> None:
    nodes = {"model": {"_target_": "vae.networks.MLP", "hidden": {}}}
    with pytest.raises(UserError, match=r"run=.*its .hydra/config.yaml is damaged \("):
        stored_config(write_config(tmp_path / "run", nodes), "run")


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ({"a": "${b}", "b": "${a}"}, "b"),
        ({"a": {"b": "${a}"}}, "a.b"),
        ({"a": {"b": {"c": "${a}"}}}, "a.b.c"),
        ({"x": "${a.b}", "a": {"b": {"c": "${a}", "d": 1}}}, "a.b.c"),
        ({"a": "${a.b}"}, "a"),
        ({"a": "${b.c}", "b": "${a.c}"}, "a"),
    ],
    ids=["another", "its parent", "a parent of its", "from elsewhere", "its part", "each other's part"],
)
def test_an_option_that_refers_to_itself_is_named(nodes: dict[str, object], named: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"run=.*cannot be resolved \({re.escape(named)}: refers to itself") as caught:
        stored_config(write_config(tmp_path / "run", nodes), "run")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("nodes", "named"),
    [
        ({"a": {"${seed}": {}}}, "a.${seed}"),
        ({"a": {"${seed}": 3}}, "a.${seed}=3"),
        ({"a": ["x", r"\${seed}"]}, "a.1=${seed}"),
        ({"a": {"b": r"x\${seed}"}}, "a.b=x${seed}"),
    ],
    ids=["a key of nothing", "a key", "an item", "a value"],
)
def test_what_looks_like_a_reference_once_it_is_resolved_is_named(
    nodes: dict[str, object], named: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"run=.*\({re.escape(named)}: must not hold"):
        stored_config(write_config(tmp_path / "run", {"seed": 1, **nodes}), "run")


def test_references_that_stay_small_are_resolved() -> None:
    nodes = {"a": 3, "b": {"c": "${a}", "d": ["${b.c}", "${..c}", "${.[0]}"]}, "e": "${b.d[0]} ${a}", "f": "${b}"}
    nodes["g"] = "${f.d[00]}"
    resolved = plain(OmegaConf.create(nodes))
    assert resolved["b"] == resolved["f"] == {"c": 3, "d": [3, 3, 3]}
    assert (resolved["e"], resolved["g"]) == ("3 3", 3)
    assert plain(OmegaConf.create({f"x{number}": "${a}" for number in range(1000)} | {"a": 7}))["x999"] == 7


def test_a_trusted_class_is_taken(tmp_path: Path) -> None:
    run = write_config(tmp_path / "run", {"kl": {"_target_": "tests.config.custom.Power"}})
    assert stored_config(run, "run", ["tests"]).kl.form == "plain"


def test_evaluate_calls_nothing_that_a_folder_names(trained_run: Path, tmp_path: Path) -> None:
    """Version 0.1.0 copied the file before it complained."""
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_text("secret")
    config = yaml.safe_load((run / ".hydra" / "config.yaml").read_text())
    config["kl"] = {"_target_": "shutil.copyfile", "src": str(source), "dst": str(copy)}
    (run / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    # Without a word it is refused for its module; with one for its base
    for trust, reason in ((), "trust=shutil"), (("trust=shutil",), "shutil.copyfile: there is no class"):
        for script, option in (("evaluate.py", "run"), ("train.py", "resume")):
            ended = run_here(script, f"{option}={run}", *trust, cwd=tmp_path)
            assert ended.status == 2
            assert ended.stderr.count("\n") == 1, ended.stderr
            assert reason in ended.stderr
            assert not copy.exists()


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "not the directory of a run"), ("a: [", "damaged"), ("- 1\n", "damaged")]
)
def test_a_folder_that_holds_no_run_is_named(content: str | None, reason: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / ".hydra").mkdir()
        (tmp_path / ".hydra" / "config.yaml").write_text(content)
    with pytest.raises(UserError, match=reason):
        stored_config(tmp_path, "run")
