"""Shared by the tests: the repository, the scripts as a user runs them, tiny models, real runs."""

import contextlib
import fcntl
import gc
import importlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from hydra._internal.hydra import Hydra
from numpy.typing import NDArray

from vae import VAE, cli
from vae.kl import Analytic, KLRegularizer
from vae.latents import GaussianLatent, LatentFamily
from vae.likelihoods import BernoulliLikelihood, Likelihood
from vae.networks import MLP, Conv

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
Run = Callable[..., "Outcome"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which tests/documentation/test_browser.py takes pictures."""
    parser.addoption("--screenshots", metavar="DIR", help="write the pictures of docs/ there, from runs of 100 epochs")


def pytest_configure(config: pytest.Config) -> None:
    """Give the processes of a session a cache of compiled programs of their own."""
    if not hasattr(config, "workerinput"):
        cache = tempfile.TemporaryDirectory()
        config.add_cleanup(cache.cleanup)
        os.environ["XDG_CACHE_HOME"] = cache.name  # which pytest-xdist's workers inherit


def pytest_collection_finish() -> None:
    """Keep Python's collector from searching what TensorFlow's modules hold: a fifth of the time of the tests."""
    gc.collect()
    gc.freeze()


@dataclass
class Outcome:
    """How a script ended."""

    status: int
    stdout: str
    stderr: str


def inherited_environment() -> dict[str, str]:
    """The environment for a process that is started as a user would, without what JAX, imported here, sets in it."""
    return {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def free_addresses(count: int) -> list[str]:
    """Addresses on loopback where nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{listening.getsockname()[1]}" for listening in sockets]
    for listening in sockets:
        listening.close()
    return addresses


def run_script(script: str, *arguments: str, cwd: Path, **environment: str) -> Outcome:
    """Runs a script of the repository as a user would, from the folder `cwd`."""
    command = [sys.executable, str(REPOSITORY / script), *arguments]
    ended = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def run_here(script: str, *arguments: str, cwd: Path, **environment: str) -> Outcome:
    """Run a script as `run_script` does, but in this process, which has loaded TensorFlow already."""
    name = Path(script).stem
    module = importlib.import_module(f"vae.scripts.{name}")
    task = getattr(module, name)
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(module, "load_tensorflow"),  # it is loaded, on as many threads as another test may have set
        mock.patch.object(Hydra, "get_mode", return_value=None),  # composes everything a first time, for `hydra.mode`
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)  # as Python's own default
        status = cli.call(task, arguments)
    return Outcome(status, out.getvalue(), err.getvalue())


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the workers of pytest-xdist share: the first that needs it makes it, and the others wait."""
    root = factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of `train.py` on digits: three epochs of the Keras loss class. Tests only read it."""

    def train(folder: Path) -> None:
        ended = run_script("train.py", "kl=keras_loss", "trainer.epochs=3", "hydra.run.dir=run", cwd=folder)
        assert ended.status == 0, ended.stderr
        (folder / "run" / "stdout.txt").write_text(ended.stdout)
        (folder / "run" / "stderr.txt").write_text(ended.stderr)

    return made_once(tmp_path_factory, "trained", train) / "run"


@pytest.fixture(scope="session")
def no_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that, on PYTHONPATH, forbids a process to import TensorFlow or Keras; their sources can be read."""
    folder = tmp_path_factory.mktemp("no_tensorflow")
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Forbidden:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name in ('tensorflow', 'keras', 'tensorflow_datasets'):\n"
        "            raise SystemExit('TensorFlow was loaded')\n"
        "sys.meta_path.insert(0, Forbidden)\n"
    )
    return str(folder)


@pytest.fixture(scope="session")
def make_vae() -> Callable[..., VAE]:
    """A function that builds a small VAE with the same initial weights every time."""

    def build(
        kl: KLRegularizer | None = None,
        image_shape: tuple[int, int, int] = (8, 8, 1),
        network: MLP | Conv | None = None,
        likelihood: Likelihood | None = None,
        latents: int | LatentFamily = 4,
        **options: Any,
    ) -> VAE:
        policy = keras.config.dtype_policy()
        keras.backend.clear_session()  # or layers would be numbered on, from model to model
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(0)
        latent = GaussianLatent(latents) if isinstance(latents, int) else latents
        network = network or MLP((16,))
        encoder = network.encoder(image_shape, latent.parameter_count)
        decoder = network.decoder(latent.z_size, image_shape)
        vae = VAE(encoder, decoder, latent, likelihood or BernoulliLikelihood(), kl or Analytic(), **options)
        vae.compile(keras.optimizers.Adam(1e-3))
        return vae

    return build


@pytest.fixture
def images() -> NDArray[np.float32]:
    """Fifty binary 8x8 images."""
    return (np.random.default_rng(0).random((50, 8, 8, 1)) < 0.4).astype(np.float32)


@pytest.fixture
def shared() -> Path:
    """The folder of prepared data sets, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, the folder of prepared data sets")
    return SHARED


@pytest.fixture(autouse=True)
def _defaults() -> None:
    tf.config.run_functions_eagerly(False)
    keras.config.set_dtype_policy("float32")
