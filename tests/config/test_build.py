"""Every option composes, passes the check and builds what it says."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from tests.conftest import REPOSITORY
from vae.cli import compose
from vae.config.build import build_audit, build_data, build_model, build_optimizer, check_networks
from vae.config.stored import plain
from vae.config.validation import check_train
from vae.data import DataSource, ImageSource
from vae.data.source import Images, Split
from vae.errors import UserError
from vae.likelihoods import GaussianLikelihood

CONFIGS = REPOSITORY / "configs"
OPTIONS = [
    f"{group}={path.stem}"
    for group in sorted(path.name for path in CONFIGS.iterdir() if path.is_dir() and path.name != "hydra")
    for path in sorted((CONFIGS / group).glob("*.yaml"))
]


SCHEDULE = {"_target_": "keras.optimizers.schedules.PiecewiseConstantDecay"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageSource:
    return ImageSource("digits", dir=str(tmp_path_factory.mktemp("data")), validation_size=180)


def composed(*overrides: str) -> DictConfig:
    return compose("train", *overrides)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_passes_the_check(option: str) -> None:
    needed = ["data.name=mnist"] if option == "data=tfds" else []
    check_train(plain(composed(option, *needed)))


def test_the_defaults() -> None:
    config = composed()
    assert (config.data.name, config.kl.direction, config.beta.value) == ("digits", "forward", 1.0)
    assert (config.seed, config.resume, config.trust) == (0, None, None)
    assert (config.trainer.epochs, config.trainer.chunk) == (100, 200)


def test_a_data_set_may_choose_the_likelihood_and_the_user_has_the_last_word() -> None:
    assert composed("data=cifar10").likelihood._target_ == "vae.likelihoods.GaussianLikelihood"
    assert composed("data=cifar10", "likelihood=bernoulli").likelihood._target_.endswith("BernoulliLikelihood")
    assert composed("data=cifar10").data.name == "cifar10"


@pytest.mark.parametrize("data", ["digits", "mnist", "cifar10"])
@pytest.mark.parametrize("likelihood", ["discretized_logistic", "dequantized_gaussian"])
def test_a_likelihood_of_grey_levels_chooses_them(likelihood: str, data: str) -> None:
    assert composed(f"data={data}", f"likelihood={likelihood}").data.binarization == "none"
    dynamic = composed(f"data={data}", f"likelihood={likelihood}", "data.binarization=dynamic")
    assert dynamic.data.binarization == "dynamic"
    with pytest.raises(UserError, match=r"data.binarization=dynamic: leaves only black and white"):
        check_train(plain(dynamic))


def test_an_experiment_is_a_diff_against_the_defaults() -> None:
    config = composed("experiment=mnist_conv")
    assert config.data.name == "mnist"
    assert config.model._target_ == "vae.networks.Conv"
    assert config.latent.size == 32
    assert composed("experiment=mnist_conv", "latent.size=8").latent.size == 8


def test_the_audit_takes_another_regularizer_by_one_word(digits: ImageSource) -> None:
    config = composed("+kl@audit.narrow=backend", "audit.narrow.support=histogram")
    audit = build_audit(config, digits)
    assert {*audit} == {*build_audit(composed(), digits), "narrow"}
    assert audit["narrow"].support == "histogram"
    assert build_audit(composed("audit=none"), digits) == {}


def test_the_model_is_what_was_asked_for(tmp_path: Path) -> None:
    config = composed(
        f"data.dir={tmp_path}",
        "model=conv",
        "model.filters=[4]",
        "model.hidden=8",
        "latent.size=3",
        "likelihood=gaussian",
        "likelihood.scale=0.2",
        "kl=backend",
        "kl.direction=reverse",
        "beta.value=2",
        "seed=5",
        "optimizer.learning_rate=0.01",
    )
    source = build_data(config)
    vae = build_model(config, source)
    assert isinstance(vae.likelihood, GaussianLikelihood)
    assert vae.likelihood.scale == 0.2
    assert vae.latent.size == 3
    assert vae.kl.get_config() == {"direction": "reverse", "support": "quadrature", "points": None}
    assert (float(vae.beta.numpy()), vae.seed) == (2.0, 5)
    assert float(keras.ops.convert_to_numpy(vae.optimizer.learning_rate)) == pytest.approx(0.01)
    bias = vae.decoder.get_layer("likelihood").bias.numpy()
    assert bias == pytest.approx([np.mean(source.train) / 255], rel=1e-4)


TOGETHER = [
    (["latent=bernoulli", "kl=raw"], "kl=raw misuses the means", "this is a Bernoulli; kl=analytic is exact"),
    (["latent=categorical", "kl=tc"], "kl=tc compares densities of Gaussians", "this is a Categorical"),
    (["latent=categorical", "kl=mmd"], "kl=mmd needs z to be a draw", "this is a Categorical"),
    (["latent=bernoulli", "prior=vamp"], "needs latent=gaussian", "BernoulliLatent"),
    (["prior=vamp", "kl=keras_loss"], "has no closed form", "kl=monte_carlo estimates it"),
    (["kl=mmd", "objective.free_bits=0.1"], "objective.free_bits=0.1: MaximumMeanDiscrepancy", "kl=analytic has"),
    (["objective.free_bits=0.1", "objective.group_size=3"], "objective.group_size=3", "does not divide 16"),
    (["kl._target_=tests.config.mistaken.Vector"], "Vector must return a scalar", "(2,)"),
    (["kl._target_=tests.config.mistaken.Failing"], "Failing failed", "AttributeError"),
    (["kl._target_=tests.config.mistaken.WithoutKey"], "WithoutKey.__call__", "key"),
]


@pytest.mark.parametrize(("overrides", "wrong", "right"), TOGETHER, ids=lambda case: str(case)[:40])
def test_what_does_not_go_together_is_named(overrides: list[str], wrong: str, right: str, digits: ImageSource) -> None:
    with pytest.raises(UserError) as caught:
        build_model(composed(*overrides), digits)
    message = str(caught.value)
    assert wrong in message
    assert right in message
    assert "\n" not in message


EVERYWHERE = ["analytic", "backend", "keras_loss", "jensen_shannon", "renyi"]
GOES = [
    *((latent, kl) for latent in ("gaussian", "categorical", "bernoulli") for kl in EVERYWHERE),
    *(("gaussian", kl) for kl in ("monte_carlo", "raw", "tc", "mmd")),
    *(("gaussian", "monte_carlo", f"prior={prior}") for prior in ("mixture", "vamp")),
    ("gaussian", "mmd", "prior=vamp"),
]


QUICK = {("gaussian", "analytic"), ("categorical", "backend"), ("gaussian", "monte_carlo", "prior=vamp")}


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=" ".join(options), marks=[] if options in QUICK else pytest.mark.thorough)
        for options in GOES
    ],
)
def test_what_goes_together_trains(options: tuple[str, ...], digits: ImageSource) -> None:
    """Two real steps and a validation, of every pair of family and implementation that makes sense."""
    latent, kl, *more = options
    keras.backend.clear_session()
    vae = build_model(composed(f"latent={latent}", f"kl={kl}", "beta=cyclical", *more), digits)
    images = (digits.train[:64] / 255.0).astype(np.float32)
    before = vae.get_weights()
    vae.fit(images, batch_size=32, epochs=1, verbose=0)
    assert np.isfinite(list(vae.evaluate(images, verbose=0, return_dict=True).values())).all()
    assert all(np.isfinite(weight).all() for weight in vae.get_weights())
    assert not all(np.array_equal(*pair) for pair in zip(before, vae.get_weights(), strict=True))


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("model.hidden=[20,10,10]", "model.activation=silu", "trainer.precision=bfloat16"),
        ("model=conv", "latent=bernoulli", "data.shape=[9,11,1]", "trainer.precision=float16"),
    ],
)
def test_a_saved_model_has_the_networks_of_its_configuration(options: tuple[str, ...], tmp_path: Path) -> None:
    config = composed(*options, f"data.dir={tmp_path}", "data.take=200")
    built = build_model(config, build_data(config))
    built.optimizer.build(built.trainable_variables)
    built.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")  # as in another process, whose layers have other names
    keras.layers.Dense(1)
    model = keras.models.load_model(tmp_path / "model.keras")
    check_networks(model, config, "run=x")
    assert keras.config.dtype_policy().name == "float32"
    for other in ("model.activation=gelu", "model.hidden=[7]" if "model=conv" not in options else "model.hidden=7"):
        with pytest.raises(UserError, match=r"^run=x: its model has other networks than its configuration, model="):
            check_networks(model, composed(*options, other), "run=x")
    for wrong in ({"model": None}, {"model": {"_target_": "vae.networks.MLP", "hidden": "wide"}}, {"trainer": {}}):
        with pytest.raises(UserError, match=r"^run=x: its configuration describes no networks"):
            check_networks(model, OmegaConf.create({**plain(config), **wrong}), "run=x")


@pytest.mark.parametrize(
    "options",
    [
        {"loss_scale_factor": "wide"},
        {"gradient_accumulation_steps": 2.5},
        {"learning_rate": {**SCHEDULE, "boundaries": [100], "values": [0.1, "a"]}},
        {"learning_rate": {**SCHEDULE, "boundaries": [100], "values": [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]}},
        {"learning_rate": {**SCHEDULE, "boundaries": [100], "values": [[0.1, 0.2], [0.1, 0.2]]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_an_optimizer_that_fails_in_a_step_is_refused(
    options: dict[str, Any], precision: str, digits: ImageSource
) -> None:
    """Keras takes these options of any type."""
    config = composed(f"trainer.precision={precision}")
    assert build_optimizer(config, digits).learning_rate.numpy() == np.float32(1e-3)
    for name, value in options.items():
        OmegaConf.update(config, f"optimizer.{name}", value, force_add=True)
    with pytest.raises(UserError, match=r"^optimizer: Adam fails in a step \("):
        build_optimizer(config, digits)


def test_lists_reach_keras_as_lists(tmp_path: Path) -> None:
    """A ListConfig inside a saved model raises when it is loaded."""
    config = composed(f"data.dir={tmp_path}", "model.hidden=[5,4]")
    vae = build_model(config, build_data(config))
    vae.optimizer.build(vae.trainable_variables)
    vae.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").encoder.layers[2].units == 5


def test_the_source_is_what_was_asked_for(tmp_path: Path) -> None:
    source = build_data(composed(f"data.dir={tmp_path}", "data.take=200", "data.validation_size=100"))
    assert (len(source.train), len(source.validation), len(source.test)) == (200, 100, 200)
    with pytest.raises(UserError, match=r"trainer.batch_size=500: is more than 200, the number of training images"):
        build_data(composed(f"data.dir={tmp_path}", "data.take=200", "trainer.batch_size=500"))


class Unequal(DataSource):
    """A data set whose validation images are larger than its training images."""

    def read_split(self, split: Split) -> Images:
        side = 8 if split == "train" else 9
        return np.zeros((200, side, side, 1), np.uint8)


def test_all_splits_have_one_shape() -> None:
    expected = r"validation split of Unequal has images of \(9, 9, 1\), and the model trains on images of \(8, 8, 1\)"
    with pytest.raises(UserError, match=expected):
        build_data(composed(f"data._target_={__name__}.Unequal"))
