"""No NaN and no infinity in any file of a run, unless its status or an empty cell says so: each file is read here."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import run_here
from tests.reading import history_of, scalars_of
from vae.cli import CONFIGS, compose
from vae.config.build import build
from vae.evaluation import marked_non_finite
from vae.latents import GaussianLatent
from vae.random import Stream, key

TERMS = sorted(path.stem for path in Path(CONFIGS, "kl").glob("*.yaml"))
#: What a run may not have: then it is null in summary.json and an empty cell in history.csv
MAY_BE_MISSING = {"effective_beta", "local_weight", "residual_share", "kl_correlation"}
#: What evaluation.json does not have for some likelihoods, or for so few images
NOT_MEASURED = {"bits_per_dim", "mutual_information", "mutual_information_error", "marginal_kl", "marginal_kl_error"}
SMALL = ["data.take=40", "trainer.batch_size=20", "trainer.epochs=2", "trainer.engine=keras", "model.hidden=[8]"]
ALL_AUDITED = ["audit=default", *(f"+kl@audit.{term}={term}" for term in ("jensen_shannon", "mmd", "renyi", "tc"))]


def missing(value: Any, name: str = "") -> set[str]:
    """The names of what is null in a file of JSON."""
    if isinstance(value, dict):
        return {found for key, item in value.items() for found in missing(item, key)}
    if isinstance(value, list):
        return {found for item in value for found in missing(item, name)}
    return {name} if value is None else set()


def refuse_constant(text: str) -> None:
    raise AssertionError(f"{text} in a file of JSON")


def assert_no_silent_nan(run: Path) -> str:
    """Read every file with numbers; return the status."""
    summary = json.loads((run / "summary.json").read_text(), parse_constant=refuse_constant)
    assert missing(summary) <= MAY_BE_MISSING
    for row in history_of(run) if (run / "history.csv").exists() else []:
        for column, text in row.items():
            if text:
                assert math.isfinite(float(text)), column
            else:
                assert not MAY_BE_MISSING.isdisjoint(column.split("/")), column
    for split in ("train", "validation"):
        folder = run / "tensorboard" / split
        for tag, points in scalars_of(folder).items() if folder.exists() else ():
            assert all(math.isfinite(value) for _, value in points), tag
    points = run / "tensorboard" / "validation" / "posterior_means.tsv"
    if points.exists():
        assert np.isfinite(np.loadtxt(points)).all()
    return str(summary["status"])


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [
        ["optimizer.learning_rate=1e6"],
        ["optimizer.learning_rate=1e6", "kl=backend"],
        ["optimizer.learning_rate=1e6", "likelihood=gaussian"],
        ["optimizer.learning_rate=1e20"],
        ["beta.value=3e38"],
        ["trainer.precision=float16", "optimizer.learning_rate=1e3"],
        ["trainer.precision=float16", "latent.size=1", *ALL_AUDITED],
        ["latent.size=2000", "data.take=20", *ALL_AUDITED],
    ],
    ids=lambda options: " ".join(options)[:60],
)
def test_numbers_at_the_limits_are_finite_or_said_not_to_be(options: list[str], tmp_path: Path) -> None:
    audit = [] if ALL_AUDITED[0] in options else ["audit=none"]
    ended = run_here("train.py", *SMALL, *audit, *options, "hydra.run.dir=run", cwd=tmp_path)
    status = assert_no_silent_nan(tmp_path / "run")
    if ended.status:
        assert (ended.status, status) == (1, "diverged"), ended.stderr
        lines = [line for line in ended.stderr.splitlines() if line.startswith("train.py: ")]
        assert len(lines) == 1, ended.stderr
        assert "NaN or infinite" in lines[0]
        assert not (tmp_path / "run" / "model.keras").exists()
        return
    assert status == "finished"
    ended = run_here("evaluate.py", "run=run", "nll_samples=5", "take=10", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    measured = json.loads((tmp_path / "run" / "evaluation.json").read_text(), parse_constant=refuse_constant)
    said = {*measured.get("not_finite", [])}
    assert missing(measured) - NOT_MEASURED <= said <= missing(measured)
    assert all(name in ended.stderr for name in said)


@pytest.mark.thorough
@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("mu", [0.0, 30.0])
def test_a_term_at_the_bounds_of_the_log_variance(term: str, mu: float) -> None:
    """The encoder's output for it may be anything; value and gradient are finite."""
    latent = GaussianLatent(4)
    outputs = tf.constant([[mu] * 4 + [-1e30, -30.0, 30.0, 1e30]] * 2)
    regularizer = build("kl", compose("train", f"kl={term}").kl, dataset_size=100)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        posterior = latent.posterior(outputs)
        z = posterior.sample(key(0, Stream.PROBE, 0))
        value = regularizer(posterior, latent.prior(), z, key=key(0, Stream.PROBE, 1))
    assert np.isfinite(float(value))
    assert np.isfinite(tape.gradient(value, outputs).numpy()).all()


def test_what_is_not_finite_is_named() -> None:
    quantities = {"elbo": -1.0, "nll": math.nan, "kl_per_latent": [0.0, math.inf], "nll_kind": "density", "images": 3}
    with pytest.warns(UserWarning, match="nll, kl_per_latent: NaN or infinite"):
        marked = marked_non_finite(quantities)
    assert marked["not_finite"] == ["nll", "kl_per_latent"]
    assert marked_non_finite({"elbo": -1.0, "bits_per_dim": None}) == {"elbo": -1.0, "bits_per_dim": None}
