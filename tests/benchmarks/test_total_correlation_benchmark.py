"""The benchmark of beta-TCVAE's estimators, on a small case."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_script

pytestmark = pytest.mark.thorough  # a benchmark in a process of its own


def test_the_parts_of_every_estimator_add_up_to_the_kl(tmp_path: Path) -> None:
    """Two variables with -2 log sigma = 1.39 nats; the exact parts are those, 0 and 0 up to 1,000 draws."""
    size = ["--latents", "2", "--sigma", "0.5", "--examples", "2000", "--batch", "50", "--batches", "40"]
    ended = run_script("benchmarks/total_correlation.py", *size, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    rows = {
        name: [float(value) for value in re.findall(r"(-?\d+\.\d+) ±", line)]
        for line in ended.stdout.splitlines()
        for name in ("exact", "stratified", "weighted")
        if name in line
    }
    assert list(rows) == ["exact", "stratified", "weighted"]
    for information, correlation, marginal, regularizer in rows.values():
        assert information + correlation + marginal == pytest.approx(-2 * np.log(0.5), abs=0.15)  # draws, two digits
        assert regularizer == pytest.approx(information + 6 * correlation + marginal, abs=0.05)
    assert rows["exact"][0] == pytest.approx(-2 * np.log(0.5), abs=0.15)
    assert rows["weighted"][0] < rows["stratified"][0]
