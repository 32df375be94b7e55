"""The frontier of the exact KL, against one that is known in closed form."""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from vae.compare import (
    compare,
    conclusions,
    differences,
    draw_plots,
    frontier_gaps,
    frontiers,
    load_runs,
)
from vae.compare.frontier import interpolation_error

BETAS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
SCALE = 12.0


def distortion(rate: float) -> float:
    """Return D(R) = 10 + 40 exp(-R / 12), whose slope is -beta where R = 12 log(40 / (12 beta))."""
    return 10.0 + 40.0 * np.exp(-rate / SCALE)


def rate_at(beta: float) -> float:
    return SCALE * np.log(40.0 / (SCALE * beta))


def table(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Return a table like that of `load_runs`: one epoch of each run."""
    common = {"status": "finished", "kl": "analytic", "effective_beta": 1.0, "option/beta.value": 1.0, "epoch": 1}
    common |= {"step": 10, "seconds": 1.0, "option/data.name": "digits", "audit/residual_share": 0.0}
    runs = pd.DataFrame([common | {"run": f"run{number}"} | row for number, row in enumerate(rows)])
    runs["option/kl._target_"] = runs["kl"]
    runs["validation/elbo"] = -(runs["validation/kl"] + runs["validation/reconstruction"])
    return runs


def run_of(seed: int, rate: float, off: float = 0.0, **others: object) -> dict[str, object]:
    figures = {"validation/kl": rate, "validation/reconstruction": distortion(rate) + off}
    return {"seed": seed, "overrides": (f"kl={others.get('kl', 'analytic')}",), **figures, **others}


def exact(seed: int, beta: float, random: np.random.Generator | None = None) -> dict[str, object]:
    rate = rate_at(beta) * (1.0 + 0.03 * random.normal() if random else 1.0)
    off = 0.05 * random.normal() if random else 0.0
    weight = {"option/beta.value": beta, "effective_beta": beta}
    return run_of(seed, rate, off, **weight) | {"overrides": ("kl=analytic", f"beta.value={beta:g}")}


def test_a_multiple_of_the_kl_lies_on_the_frontier_and_a_misuse_off_it() -> None:
    random = np.random.default_rng(0)
    rows = [exact(seed, beta) for seed in range(4) for beta in BETAS]
    offsets = 0.8 + 0.05 * random.normal(size=4)
    for seed in range(4):
        rows.append(run_of(seed, rate_at(0.0625), kl="keras_loss", effective_beta=0.0625))
        rows.append(run_of(seed, 30.0 + seed, offsets[seed], kl="raw", effective_beta=np.nan))
    gaps = frontier_gaps(table(rows)).set_index("configuration")
    assert gaps.index.tolist() == ["kl=keras_loss", "kl=raw"]
    assert gaps["rate"].tolist() == pytest.approx([rate_at(0.0625), 31.5])
    assert abs(gaps.loc["kl=keras_loss", "gap"]) <= gaps.loc["kl=keras_loss", "interpolation"] < 0.05
    assert gaps.loc["kl=raw", "gap"] == pytest.approx(offsets.mean(), abs=gaps.loc["kl=raw", "interpolation"])
    assert gaps["verdict"].tolist() == ["equivalent", "differs"]
    assert "on the frontier of the exact KL within 0.5 nats" in gaps.loc["kl=keras_loss", "sentence"]
    assert "nats worse than the exact KL at the same rate (31.5 nats, 4 seeds)." in gaps.loc["kl=raw", "sentence"]


def test_a_rate_that_is_not_positive_is_not_compared() -> None:
    """An estimate of the KL may be negative, but no rate is."""
    points = [exact(seed, beta) for seed in range(2) for beta in BETAS]
    (frontier,) = frontiers(table([*points, *(run_of(0, rate, kl=f"{rate}") for rate in (-1.0, 0.0, 9.0))]))
    assert frontier.others["rate"].tolist() == [9.0]


def test_the_error_of_the_interpolation_is_not_understated() -> None:
    (frontier,) = frontiers(
        table([exact(seed, beta) for seed in range(2) for beta in BETAS] + [run_of(0, 9.0, kl="x")])
    )
    rates = np.linspace(rate_at(2.0) + 0.01, rate_at(0.05) - 0.01, 50)
    gaps = [
        frontier_gaps(table([*(exact(seed, beta) for seed in range(2) for beta in BETAS), run_of(0, rate, kl="x")]))
        for rate in rates
    ]
    true = np.array([abs(gap["gap"].item()) for gap in gaps])
    stated = np.array([interpolation_error(frontier.points, rate) for rate in rates])
    assert (true <= stated + 1e-9).mean() > 0.95
    assert true.max() <= stated.max()
    assert stated.max() < 0.5


def test_the_error_of_the_interpolation_is_nothing_at_each_beta_and_largest_between_two() -> None:
    (frontier,) = frontiers(
        table([exact(seed, beta) for seed in range(2) for beta in BETAS] + [run_of(0, 9.0, kl="x")])
    )
    rates = np.sort(frontier.points.groupby("beta")["rate"].mean())
    for low, high in itertools.pairwise(rates[1:-1]):
        middle = interpolation_error(frontier.points, np.sqrt(low * high))
        assert middle > 0.0
        for place in (0.001, 0.999):
            near = interpolation_error(frontier.points, low ** (1 - place) * high**place)
            assert near == pytest.approx(4 * 0.001 * 0.999 * middle, rel=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize(("off", "wrong"), [(0.0, "differs"), (0.5, "equivalent")])
def test_false_claims_stay_under_five_percent(off: float, wrong: str) -> None:
    """Runs of the exact KL and of another term scatter about the true frontier; the term lies `off` it."""
    families, random, false = 150, np.random.default_rng(7), 0
    for _ in range(families):
        rows = [exact(seed, beta, random) for seed in range(3) for beta in BETAS]
        rows += [run_of(seed, 25.0 + random.normal(), off + 0.05 * random.normal(), kl="x") for seed in range(3)]
        false += frontier_gaps(table(rows))["verdict"].item() == wrong
    assert false / families < 0.05 + 3 * np.sqrt(0.05 * 0.95 / families)


def test_rates_beyond_the_frontier_have_no_gap() -> None:
    rows = [exact(seed, beta) for seed in range(2) for beta in BETAS]
    rows += [run_of(seed, 200.0, kl="mmd") for seed in range(2)] + [run_of(0, 20.0, 0.3, kl="tc")]
    rows.append(run_of(7, 20.0, kl="renyi"))
    gaps = frontier_gaps(table(rows)).set_index("configuration")
    assert gaps.loc["kl=renyi", "sentence"] == "kl=renyi: no seed in common with the frontier of the exact KL."
    assert np.isnan(gaps.loc["kl=mmd", "gap"])
    assert gaps.loc["kl=mmd", "seeds"] == 0
    assert gaps.loc["kl=mmd", "sentence"] == (
        "kl=mmd: rate 200 nats, beyond the frontier (6.13 to 50.4); train other values of beta."
    )
    assert gaps.loc["kl=tc", "sentence"].startswith("kl=tc: frontier gap +0.3")
    assert gaps.loc["kl=tc", "sentence"].endswith(" nats at one seed; at least 2 needed.")


def test_seeds_that_disagree_cannot_tell() -> None:
    rows = [exact(seed, beta) for seed in range(3) for beta in BETAS]
    rows += [run_of(seed, 20.0, off, kl="x") for seed, off in enumerate((-0.9, 0.1, 1.2))]
    (gap,) = frontier_gaps(table(rows)).to_dict("records")
    assert gap["seeds"] == 3
    assert gap["gap"] == pytest.approx(0.4 / 3, abs=0.05)
    assert gap["sentence"].startswith("kl=x: cannot tell yet whether it is on the frontier (+0.1")


def test_a_seed_with_one_beta_has_no_curve() -> None:
    rows = [exact(0, beta) for beta in BETAS] + [exact(1, 1.0)]
    (gap,) = frontier_gaps(table([*rows, *(run_of(seed, 20.0, 0.3, kl="x") for seed in range(2))])).to_dict("records")
    assert gap["seeds"] == 1
    assert gap["gap"] == pytest.approx(0.3, abs=0.05)


def test_a_frontier_is_of_the_exact_kl_under_equal_conditions() -> None:
    """Neither two betas, nor the reverse KL, nor runs that did not finish, nor another data set give one."""
    assert frontiers(table([exact(0, 1.0), exact(0, 2.0)])) == []
    assert frontiers(table(exact(0, beta) | {"effective_beta": np.nan} for beta in BETAS)) == []
    assert frontiers(table(exact(0, beta) | {"status": "diverged"} for beta in BETAS)) == []
    rows = [exact(0, beta) for beta in BETAS]
    elsewhere = run_of(0, 20.0, kl="tc") | {"option/data.name": "mnist"}
    (frontier,) = frontiers(table([*rows, elsewhere, run_of(0, 20.0, kl="mmd")]))
    assert frontier.others["configuration"].str.contains("mmd").all()
    assert frontier.points["beta"].tolist() == [*BETAS][::-1]  # by rate
    assert frontier.names == {f"kl=analytic beta.value={beta:g}" for beta in BETAS}
    collapsed = [exact(0, 8.0) | {"validation/kl": 0.01}, exact(0, 4.0) | {"validation/kl": np.nan}]
    (frontier,) = frontiers(table([*rows, *collapsed]))
    assert len(frontier.points) == len(BETAS)
    assert len(frontier.names) == len(BETAS) + 1


def test_the_comparison_shows_the_gap(tmp_path: Path) -> None:
    rows = [exact(seed, beta) for seed in range(3) for beta in BETAS]
    rows += [run_of(seed, 20.0 + seed, 0.8, kl="raw") for seed in range(3)]
    runs = table(rows)
    raw = compare(runs).set_index("configuration").loc["kl=raw"]
    assert raw["frontier_gap"] == pytest.approx(0.8, abs=0.05)
    assert compare(runs)["frontier_gap"].notna().sum() == 1
    said = conclusions(runs, "kl=analytic beta.value=1")
    assert [line.partition(":")[0] for line in said[:1]] == ["kl=raw"]
    assert "worse than the exact KL at the same rate" in said[-2]
    assert "All verdicts on frontier gaps together are right with 95 %: 2 possible claims" in said[-1]
    # The other betas are what it is measured by, not what it is compared with
    assert differences(runs, "kl=analytic beta.value=1")["configuration"].tolist() == ["kl=raw"]
    assert len(differences(runs[runs["kl"] == "analytic"], "beta.value=1")) == len(BETAS) - 1
    plots = {plot.name: plot for plot in draw_plots(runs)}
    assert "The largest: kl=raw, +0.8" in plots["frontier_gaps"].description
    assert plots["frontier_gaps"].data["configuration"].tolist() == ["kl=raw"]
    line, dots, crosses = plots["frontier"].panels[0].series
    assert line.points["y"].tolist() == pytest.approx([distortion(rate) for rate in line.points["x"]], abs=0.1)
    assert dots.points["text"].tolist() == [f"{beta:g}" for beta in [*BETAS][::-1]]
    assert (crosses.name, len(crosses.points)) == ("kl=raw", 3)
    for name in ("frontier", "frontier_gaps"):
        plots[name].figure.savefig(tmp_path / f"{name}.png")


@pytest.mark.parametrize(("seeds", "is_said"), [(1, False), (2, True)])
def test_two_seeds_are_enough_to_say_a_gap(seeds: int, is_said: bool) -> None:
    rows = [exact(seed, beta) for seed in range(seeds) for beta in BETAS]
    rows += [run_of(seed, 20.0 + seed, 0.8, kl="raw") for seed in range(seeds)]
    said = " ".join(conclusions(table(rows), "kl=analytic beta.value=1"))
    assert ("the exact KL at the same rate" in said) == is_said


def test_a_name_with_dollars_is_not_a_formula(tmp_path: Path) -> None:
    rows = [exact(seed, beta) for seed in range(2) for beta in BETAS]
    rows += [run_of(seed, 20.0 + seed, 0.8, kl="raw") | {"overrides": (r"name=$\nosuch$",)} for seed in range(2)]
    for plot in draw_plots(table(rows))[:3]:
        plot.figure.savefig(tmp_path / f"{plot.name}.png")  # which fails for a formula that is none
        assert (tmp_path / f"{plot.name}.png").read_bytes().startswith(b"\x89PNG")


def test_real_histories_have_a_frontier(tmp_path: Path) -> None:
    """The columns are those that `load_runs` finds."""
    for number, beta in enumerate((0.5, 1.0, 2.0, None)):
        directory = tmp_path / str(number)
        (directory / ".hydra").mkdir(parents=True)
        option = {"beta": {"value": beta or 1.0}, "kl": {"_target_": "exact" if beta else "other"}, "seed": 0}
        (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(option))
        (directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([f"beta.value={beta}"]))
        summary = {"status": "finished", "seed": 0, "kl": "analytic" if beta else "tc", "effective_beta": beta}
        (directory / "summary.json").write_text(json.dumps(summary))
        rate = rate_at(beta) if beta else 14.0
        figures = f"1,10,1.0,{-rate - distortion(rate)},{rate},{distortion(rate)}"
        names = "epoch,step,seconds,validation/elbo,validation/kl,validation/reconstruction"
        (directory / "history.csv").write_text(f"{names}\n{figures}\n")
    gaps = frontier_gaps(load_runs(tmp_path))
    assert gaps["gap"].item() == pytest.approx(0.0, abs=0.3)
