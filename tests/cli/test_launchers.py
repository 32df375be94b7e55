"""The share of the machine that the runs of a sweep get, under each of Hydra's launchers."""

import shutil
import warnings
from pathlib import Path

import joblib
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.cli.sweep_config import EXTRA, PLUGINS, sweep_config
from tests.conftest import run_script
from vae.cli import config_source, launchers
from vae.cli.launchers import share_cores
from vae.cli.sweeps import start_sweep

# What the user chose, how many runs, what share_cores sets on a machine of eight cores
SHARES: list[tuple[list[str], int, dict[str, int | str | None]]] = [
    (["hydra/launcher=basic"], 12, {"threads": None}),
    (["hydra/launcher=joblib"], 12, {"threads": 1, "hydra.launcher.n_jobs": 8, "hydra.launcher.batch_size": "1"}),
    (["hydra/launcher=joblib"], 3, {"threads": 2, "hydra.launcher.n_jobs": 3}),
    (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], 12, {"threads": 4, "hydra.launcher.n_jobs": 2}),
    (["hydra/launcher=joblib", "hydra.launcher.n_jobs=16"], 99, {"threads": 1, "hydra.launcher.n_jobs": 16}),
    (["hydra/launcher=joblib", "trainer.threads=3"], 12, {"threads": 3, "hydra.launcher.n_jobs": 2}),
    (["hydra/launcher=submitit_local"], 12, {"threads": 1, "hydra.sweeper.max_batch_size": 8}),
    (["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"], 12, {"hydra.launcher.timeout_min": 5}),
    (["hydra/launcher=ray"], 4, {"threads": 2, "hydra.launcher.ray.remote.num_cpus": 2}),
    (["hydra/launcher=ray", "trainer.threads=4"], 4, {"threads": 4, "hydra.launcher.ray.remote.num_cpus": 4}),
    (["hydra/launcher=submitit_slurm"], 12, {"threads": None, "hydra.launcher.cpus_per_task": None}),
    (["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=6"], 12, {"threads": 6}),
    (["hydra/launcher=submitit_slurm", "trainer.threads=6"], 12, {"threads": 6, "hydra.launcher.cpus_per_task": 6}),
]


@pytest.mark.parametrize(("chosen", "runs", "expected"), SHARES, ids=str)
def test_how_runs_share_eight_cores(
    chosen: list[str], runs: int, expected: dict[str, int | str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if plugin := PLUGINS.get(chosen[0].removeprefix("hydra/launcher=")):
        pytest.importorskip(plugin, reason=EXTRA)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    config_source.register()
    with initialize_config_dir(config_source.CONFIGS, version_base="1.3"):
        config = compose("train", chosen, return_hydra_config=True)
    assert share_cores(config, runs) == expected.get("threads", 1)
    for option, value in expected.items():
        if option != "threads":
            assert OmegaConf.select(config, option) == value, option


@pytest.mark.thorough
def test_without_slurm_it_says_so(tmp_path: Path, no_tensorflow: str) -> None:
    pytest.importorskip(PLUGINS["submitit_slurm"], reason=EXTRA)
    if shutil.which("srun"):
        pytest.skip("there is Slurm here")
    options = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=long", "seed=0,1"]
    ended = run_script("train.py", "-m", *options, cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert ended.stderr.startswith("train.py: hydra/launcher=submitit_slurm: needs a machine of a Slurm cluster")
    assert len(ended.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("swept", "launcher", "kinds"),
    [
        (["latent.size=range(1,8)"], [], 7),
        (["latent.size=range(1,5)", "kl=analytic,backend"], [], 8),
        (["latent.size=range(1,8)"], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"], 7),
        (["latent.size=range(1,8)"], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], 0),
        (["latent.size=range(1,8)"], ["hydra/launcher=submitit_local"], 0),
        (["latent.size=range(1,6)"], [], 0),
        (["seed=range(8)"], [], 0),
        (["optimizer.learning_rate=0.1,0.2,0.3,0.4", "beta.value=0.5,1"], [], 0),
        (["+optimizer.beta_1=0.1,0.2,0.3,0.4,0.5,0.6,0.7"], [], 7),
    ],
    ids=str,
)
def test_programs_that_would_fill_the_memory_are_warned_of(
    swept: list[str],
    launcher: list[str],
    kinds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine of 1 GiB, half of which is that of six runs and a half."""
    for option in launcher:
        pytest.importorskip(PLUGINS.get(option.removeprefix("hydra/launcher="), "hydra"), reason=EXTRA)
    monkeypatch.setattr(launchers, "memory", lambda: 2**30)
    with (
        sweep_config([*swept, *launcher]) as config,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        start_sweep(config)
    about = kinds * 80 / 1024
    expected = [
        f"{kinds} runs have programs of their own; TensorFlow would keep them all, about {about:.0f} GiB, and this "
        "machine has 1; hydra/launcher=joblib hydra.launcher.n_jobs=2 renews a process that grows"
    ]
    assert [str(warning.message) for warning in caught] == (expected if kinds else [])
