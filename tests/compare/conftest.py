"""Folders that look like runs, written without TensorFlow, and the command in this process."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.browsing import browser, screenshots, shoot
from tests.conftest import Outcome
from vae.compare.__main__ import main
from vae.runs.lock import locked

__all__ = ["browser", "screenshots", "shoot"]

MakeRun = Callable[..., Path]
#: The last validation ELBO of three configurations, for each seed
ELBOS = {
    "kl=analytic": [-20.0, -21.0, -20.4],
    "kl=keras_loss": [-25.0, -26.5, -25.2],
    "kl=backend": [-20.1, -20.9, -20.4],
}


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[MakeRun]:
    """A function that writes a run: its overrides, its seed and its validation ELBO at each epoch.

    A run whose status is "running" is locked until the test ends.
    """
    locks = contextlib.ExitStack()

    def make(
        name: str,
        overrides: list[str],
        elbos: list[float],
        seed: int = 0,
        status: str = "finished",
        effective_beta: float = 1.0,
        data: str = "digits",
        kl: str = "analytic",
        residual: float = 0.0,
        options: dict[str, dict[str, Any]] | None = None,
    ) -> Path:
        directory = tmp_path / "runs" / name
        (directory / ".hydra").mkdir(parents=True)
        config: dict[str, Any] = {
            "seed": seed,
            "data": {"name": data, "dir": None, "binarization": "dynamic"},
            "likelihood": {"_target_": "vae.likelihoods.BernoulliLikelihood"},
            "trainer": {"epochs": len(elbos)},
        }
        config["kl"] = {"given": overrides}
        for group, values in (options or {}).items():
            config[group] = {**config.get(group, {}), **values}
        (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
        (directory / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([f"seed={seed}", *overrides]))
        summary = {"status": status, "seed": seed, "kl": kl, "effective_beta": effective_beta}
        (directory / "summary.json").write_text(json.dumps({**summary, "steps_per_second": 100.0}))
        if elbos:
            with (directory / "history.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, ["epoch", "step", "seconds", "validation/elbo", *COLUMNS])
                writer.writeheader()
                for epoch, elbo in enumerate(elbos, 1):
                    row = {"epoch": epoch, "step": 10 * epoch, "seconds": 0.5 * epoch, "validation/elbo": elbo}
                    row["audit/residual_share"] = residual
                    writer.writerow({**dict.fromkeys(COLUMNS, epoch), **row})
        if status == "running":
            locks.enter_context(locked(directory))
        return directory

    with locks:
        yield make


COLUMNS = [
    "validation/reconstruction",
    "validation/kl",
    "audit/active_units",
    "audit/local_weight",
    "audit/residual_share",
    "audit/gradient_cosine/trained",
    "audit/gradient_cosine/backend",
    "audit/gap/backend",
    "audit/kl_per_latent/0",
    "audit/kl_per_latent/1",
]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Three configurations over three seeds."""
    for override, last in ELBOS.items():
        for seed, elbo in enumerate(last):
            beta = 0.0625 if override == "kl=keras_loss" else 1.0
            name = f"{override[3:]}-{seed}"
            make_run(name, ["data=digits", override], [-40.0, elbo], seed, effective_beta=beta)
    return tmp_path / "runs"


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """A function that runs `python -m vae.compare` in this process, from the folder above the runs."""

    def run(*arguments: str, columns: int = 200) -> Outcome:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", str(columns))
        return Outcome(main(arguments), *capsys.readouterr())

    return run
