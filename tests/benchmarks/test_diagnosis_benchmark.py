"""The labelled runs of the diagnosis cover what they should, and are counted right."""

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_script
from vae.diagnosis import RULES


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))


def test_what_the_labels_cover() -> None:
    from benchmarked_runs import HELD_OUT, TUNING

    assert TUNING.keys() & HELD_OUT.keys() == set()
    covered = set(RULES) - {"collapsed_at_unknown_weight"}  # the benchmark audits every run, which measures its weight
    for part in (TUNING, HELD_OUT):
        assert {rule for label in part.values() for rule in label.must} == covered
        assert sum(bool(label.must) for label in part.values()) >= 20
        assert sum(not label.must for label in part.values()) >= 20
        options = {option for label in part.values() for option in label.options}
        kinds = {path.stem for path in (REPOSITORY / "configs/kl").glob("*.yaml")} - {
            "analytic",
            "keras_loss_calibrated",
        }
        assert {f"kl={kind}" for kind in kinds} <= options
        assert {"latent=categorical", "latent=bernoulli", "prior=mixture", "prior=vamp"} <= options
        assert {"latent.size=1", "latent.size=192", "latent.size=600"} <= options
    labels = [*TUNING.values(), *HELD_OUT.values()]
    assert {rule for label in labels for rule in label.may} <= set(RULES)
    assert len({label.options for label in labels}) == len(labels)


def test_the_counts_are_those_of_a_hand_count() -> None:
    from benchmarked_runs import Label
    from diagnosis import Result, figures_of

    def result(must: str, may: str, found: str) -> Result:
        label = Label((), frozenset(must.split()), frozenset(may.split()))
        return Result("", label, frozenset(found.split()), 1.0)

    figures = figures_of(
        [
            result("", "", ""),
            result("", "", "blind"),
            result("blind", "", "blind"),
            result("blind", "negative", "blind negative"),
            result("blind", "negative", ""),
            result("negative", "", "negative blind"),
        ]
    )
    assert list(figures["rules"]["blind"].values()) == [2, 2, 1, 1]
    assert list(figures["rules"]["negative"].values()) == [1, 0, 0, 3]  # two that may be negative do not count
    assert list(figures["rules"]["misdirected"].values()) == [0, 0, 0, 6]
    assert (figures["healthy"], figures["healthy_with_alarm"]) == (2, 1)
    assert (figures["planted"], figures["planted_found"], figures["planted_without_finding"]) == (4, 3, 1)
    assert figures["planted_with_false_alarm"] == 1


@pytest.mark.thorough
def test_started_again_it_trains_only_what_is_missing(tmp_path: Path) -> None:
    def run(*names: str) -> tuple[str, dict[str, list[str]]]:
        arguments = ["--dir", "runs", "--json", "figures.json", "--runs", *names]
        ended = run_script("benchmarks/diagnosis.py", *arguments, cwd=tmp_path)
        assert ended.status == 0, ended.stderr
        return " ".join(ended.stdout.split()), json.loads((tmp_path / "figures.json").read_text())["found"]

    printed, found = run("two epochs")
    assert found == {"two epochs": []}
    assert "0 of 1 healthy runs with an alarm" in printed
    first = (tmp_path / "runs/two-epochs/summary.json").stat().st_mtime_ns
    printed, found = run("two epochs", "raw log_var")
    assert found == {"two epochs": [], "raw log_var": ["blind"]}
    assert "1 of 1 planted faults found" in printed
    assert (tmp_path / "runs/two-epochs/summary.json").stat().st_mtime_ns == first
