"""The scripts as a user runs them, each in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import yaml
from google.protobuf import text_format
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.projector import ProjectorConfig
from tensorboard.util import tensor_util

from tests.conftest import REPOSITORY, inherited_environment, made_once, run_script
from tests.reading import QUICK, events_of, history_of, scalars_of, summary_of
from vae import VAE

CANONICAL = ("elbo", "reconstruction", "kl", "loss", "regularizer")


class TestTrain:
    def test_the_run_directory_is_complete(self, trained_run: Path) -> None:
        files = {str(path.relative_to(trained_run)) for path in trained_run.rglob("*") if path.is_file()}
        expected = {".hydra/config.yaml", ".hydra/overrides.yaml", "history.csv", "summary.json", "model.keras"}
        assert expected <= files
        assert {path.name for path in (trained_run / "checkpoints").iterdir()} == {
            "step-00000010.keras",
            "step-00000030.keras",
        }
        assert not [name for name in files if Path(name).name.startswith(".history") or ".model" in name]

    def test_the_summary(self, trained_run: Path) -> None:
        summary = summary_of(trained_run)
        assert summary["status"] == "finished"
        assert (summary["seed"], summary["kl"], summary["epochs"], summary["steps"]) == (0, "keras_loss", 3, 30)
        assert summary["effective_beta"] == pytest.approx(1 / 16, rel=1e-4)
        assert summary["steps_per_second"] > 0
        assert set(summary["versions"]) == {"python", "tensorflow", "keras", "vae"}
        for split in ("train", "validation"):
            figures = summary[split]
            assert set(CANONICAL) <= set(figures)
            assert figures["elbo"] == pytest.approx(-(figures["reconstruction"] + figures["kl"]), rel=1e-6)
        assert summary["validation"]["regularizer"] == pytest.approx(summary["validation"]["kl"] / 16, rel=1e-2)

    def test_the_history(self, trained_run: Path) -> None:
        rows = history_of(trained_run)
        assert list(rows[0])[:3] == ["epoch", "step", "seconds"]
        assert [(row["epoch"], row["step"]) for row in rows] == [("1", "10"), ("2", "20"), ("3", "30")]
        assert float(rows[0]["seconds"]) < float(rows[1]["seconds"]) < float(rows[2]["seconds"])
        expected = {f"{split}/{name}" for split in ("train", "validation") for name in CANONICAL}
        expected |= {f"train/{name}" for name in ("beta", "effective_beta", "learning_rate", "steps_per_second")}
        assert expected <= set(rows[0])
        last = summary_of(trained_run)["validation"]["elbo"]
        assert float(rows[-1]["validation/elbo"]) == pytest.approx(last)

    def test_tensorboard_has_the_scalars_of_every_epoch(self, trained_run: Path) -> None:
        train = scalars_of(trained_run / "tensorboard" / "train")
        validation = scalars_of(trained_run / "tensorboard" / "validation")
        logged = {"canonical/elbo", "canonical/reconstruction", "canonical/kl", "optimization/loss"}
        logged.add("optimization/regularizer")
        schedules = {"beta", "effective_beta", "learning_rate", "steps_per_second"}
        assert set(train) == logged | {f"optimization/{name}" for name in schedules}
        quantities = (
            "value",
            "gap",
            "gradient_cosine",
            "gradient_length_ratio",
            "dead_gradient_share",
            "clipped_share",
        )
        names = ("analytic", "backend", "histogram", "keras_loss", "monte_carlo", "raw", "trained")
        audit = {f"regularizer_audit/{quantity}/{name}" for quantity in quantities for name in names}
        units = {f"units/{quantity}/{number:02}" for quantity in ("kl_per_latent", "active") for number in range(16)}
        of_the_term = ("gradient_ratio", "local_weight", "residual_share")
        single = {"units/active_units", *(f"regularizer_audit/{name}" for name in of_the_term)}
        assert set(validation) == logged | audit | units | single
        rows = history_of(trained_run)
        for scalars, split in ((train, "train"), (validation, "validation")):
            for tag in logged:
                assert [step for step, _ in scalars[tag]] == [1, 2, 3]
                figures = [float(row[f"{split}/{tag.partition('/')[2]}"]) for row in rows]
                assert [value for _, value in scalars[tag]] == pytest.approx(figures, rel=1e-6)

    def test_the_audit_tells_the_three_apart(self, trained_run: Path) -> None:
        scalars = scalars_of(trained_run / "tensorboard" / "validation")
        last = {tag.partition("/")[2]: values[-1][1] for tag, values in scalars.items()}
        assert last["gap/analytic"] == 0.0
        assert abs(last["gap/backend"]) < 0.05
        assert last["gap/keras_loss"] == pytest.approx(-15 / 16 * last["value/analytic"], rel=2e-2)
        assert last["gradient_length_ratio/keras_loss"] == pytest.approx(1 / 16, rel=2e-2)
        assert last["value/trained"] == pytest.approx(last["value/keras_loss"])

    def test_tensorboard_has_pictures_histograms_text_and_hparams(self, trained_run: Path) -> None:
        events = events_of(trained_run / "tensorboard" / "validation")
        for tag in ("pictures/reconstructions", "pictures/samples"):
            width, height, encoded, *_ = tensor_util.make_ndarray(events.Tensors(tag)[-1].tensor_proto)
            assert int(width) == 8 * 9 + 1
            picture = tf.io.decode_png(encoded).numpy()
            assert picture.shape[0] == int(height)
            assert np.ptp(picture) > 100
        assert len(events.Tensors("units/kl_per_latent")) == 3
        text = tensor_util.make_ndarray(events.Tensors("configuration")[0].tensor_proto).item().decode()
        assert "_target_: vae.kl.KerasLoss" in text
        session = next(tag for tag in events.summary_metadata if tag.endswith("session_start_info"))
        plugin = plugin_data_pb2.HParamsPluginData.FromString(events.summary_metadata[session].plugin_data.content)
        chosen = plugin.session_start_info.hparams
        assert chosen["kl"].string_value == "keras_loss"
        assert chosen["latent.size"].number_value == 16

    def test_the_projector_has_a_point_an_image_and_a_label_for_each_validation_image(self, trained_run: Path) -> None:
        folder = trained_run / "tensorboard" / "validation"
        embedding = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings[0]
        points = np.loadtxt(folder / embedding.tensor_path)
        vae = keras.models.load_model(trained_run / "model.keras")
        builder = tfds.builder("digits")
        examples = list(tfds.as_numpy(builder.as_dataset(split="train[-180:]", shuffle_files=False)))
        assert (folder / embedding.metadata_path).read_text().split() == [str(one["label"]) for one in examples]
        sprite = tf.io.decode_png((folder / embedding.sprite.image_path).read_bytes()).numpy()
        assert list(embedding.sprite.single_image_dim) == [8, 8]
        images = sprite.reshape(13, 8, 14, 8, 1).swapaxes(1, 2).reshape(-1, 8, 8, 1)[:180]
        grey = np.stack([one["image"] for one in examples])
        assert (images[grey == 0] == 0).all()  # binarized by drawing: black and white stay
        assert (images[grey == 255] == 255).all()
        assert points == pytest.approx(vae.encode(images / np.float32(255)).mu.numpy(), abs=1e-3)

    def test_tensorboard_overlays_what_the_audit_compares(self, trained_run: Path) -> None:
        events = events_of(trained_run / "tensorboard" / "validation")
        written = tensor_util.make_ndarray(events.Tensors("custom_scalars__config__")[0].tensor_proto).item()
        charts = [chart for group in layout_pb2.Layout.FromString(written).category for chart in group.chart]
        tags = scalars_of(trained_run / "tensorboard" / "validation")
        shown = [[tag for tag in tags if re.search(chart.multiline.tag[0], tag)] for chart in charts]
        assert shown[:3] == [["canonical/elbo"], ["canonical/reconstruction"], ["canonical/kl"]]
        of_the_term = [["regularizer_audit/local_weight"], ["regularizer_audit/residual_share"]]
        assert [tags for tags in shown if tags in of_the_term] == of_the_term
        for overlaid in (tags for tags in shown[3:] if tags not in of_the_term):
            names = {tag.rpartition("/")[2] for tag in overlaid}
            assert names >= {"analytic", "backend", "keras_loss", "monte_carlo", "raw", "trained"}

    def test_it_says_where_things_are_and_what_comes_next(self, trained_run: Path) -> None:
        shown = (trained_run / "stdout.txt").read_text()
        assert shown.count("epoch ") == 3  # no terminal: one line an epoch
        assert "epoch 3/3  ELBO -" in shown
        for words in (
            "ELBO, higher is better",
            "run        run",
            "tensorboard --logdir",
            "evaluate.py run=",
        ):
            assert words in shown
        assert "╭" not in shown

    def test_one_warning_says_what_the_reduction_does(self, trained_run: Path) -> None:
        warned = (trained_run / "stderr.txt").read_text().strip().splitlines()
        assert len(warned) == 1, warned
        for words in (
            "effective beta is 0.0625, not 1",
            "0.0625 times the canonical KL",
            "averages over the 128 examples and the 16 latent variables",
            "kl.calibrate=true makes it canonical",
        ):
            assert words in warned[0]

    def test_the_model_loads_and_is_the_one_that_was_measured(self, trained_run: Path) -> None:
        vae = keras.models.load_model(trained_run / "model.keras")
        assert isinstance(vae, VAE)
        assert int(vae.batches_seen.numpy()) == 30

    @pytest.mark.thorough
    def test_the_same_command_twice_gives_the_same_weights(self, trained_run: Path, tmp_path: Path) -> None:
        """Two processes, the second without the audit."""
        ended = run_script(
            "train.py", "kl=keras_loss", "trainer.epochs=3", "audit=none", "hydra.run.dir=again", cwd=tmp_path
        )
        assert ended.status == 0, ended.stderr
        first, second = (keras.models.load_model(run / "model.keras") for run in (trained_run, tmp_path / "again"))
        assert all(np.array_equal(*pair) for pair in zip(first.get_weights(), second.get_weights(), strict=True))


@pytest.fixture(scope="module")
def evaluated_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the real run, measured by `evaluate.py`. Tests only read it."""

    def evaluate(folder: Path) -> None:
        shutil.copytree(trained_run, folder / "run")
        ended = run_script("evaluate.py", "run=run", "nll_samples=20", cwd=folder)
        assert ended.status == 0, ended.stderr
        assert ended.stderr == ""
        (folder / "run" / "stdout.txt").write_text(ended.stdout)

    return made_once(tmp_path_factory, "evaluated", evaluate) / "run"


@pytest.fixture(scope="module")
def evaluated(evaluated_run: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((evaluated_run / "evaluation.json").read_text())
    return figures


class TestEvaluate:
    def test_what_it_measures(self, evaluated: dict[str, Any], evaluated_run: Path) -> None:
        assert evaluated["split"] == "test"
        assert evaluated["steps"] == summary_of(evaluated_run)["steps"] == 30
        assert evaluated["images"] == 359
        assert evaluated["nll_samples"] == 20
        assert evaluated["elbo"] == pytest.approx(-(evaluated["reconstruction"] + evaluated["kl"]))
        assert evaluated["nll"] < -evaluated["elbo"]
        assert len(evaluated["kl_per_latent"]) == 16
        assert 0 < evaluated["active_units"] <= 16
        for picture in ("reconstructions.png", "samples.png"):
            assert (evaluated_run / picture).stat().st_size > 2000

    def test_it_prints_a_table(self, evaluated: dict[str, Any], evaluated_run: Path) -> None:
        printed = (evaluated_run / "stdout.txt").read_text()
        for words in ("NLL, 20 importance samples", f"{evaluated['nll']:.3f}", "active units", "wrote"):
            assert words in printed

    @pytest.mark.thorough
    def test_twice_with_one_seed(self, evaluated: dict[str, Any], evaluated_run: Path, tmp_path: Path) -> None:
        shutil.copytree(evaluated_run, tmp_path / "run")
        ended = run_script("evaluate.py", "run=run", "nll_samples=20", "batch_size=100", cwd=tmp_path)
        assert ended.status == 0, ended.stderr
        again = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        assert again.keys() == evaluated.keys()
        for name, value in evaluated.items():
            if value is None or isinstance(value, str):
                assert again[name] == value
            else:
                assert again[name] == pytest.approx(value, rel=1e-6), name

    @pytest.mark.thorough
    def test_on_the_validation_split_it_finds_what_training_logged(self, trained_run: Path, tmp_path: Path) -> None:
        shutil.copytree(trained_run, tmp_path / "run")
        ended = run_script("evaluate.py", "run=run", "split=validation", "nll_samples=1", cwd=tmp_path)
        assert ended.status == 0, ended.stderr
        figures = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        logged = summary_of(trained_run)["validation"]
        for name in ("elbo", "reconstruction", "kl"):
            assert figures[name] == pytest.approx(logged[name], rel=1e-5)


@pytest.mark.thorough
def test_a_run_that_diverges_says_so(tmp_path: Path) -> None:
    ended = run_script(
        "train.py",
        "optimizer.learning_rate=1e20",
        "trainer.epochs=2",
        "hydra.run.dir=run",
        "data.take=256",
        QUICK,
        cwd=tmp_path,
    )
    assert ended.status == 1
    assert ended.stderr.count("\n") == 1
    assert re.search(
        r"became NaN or infinite in training step \d; .*try a smaller optimizer.learning_rate", ended.stderr
    )
    assert ended.stdout == ""
    assert summary_of(tmp_path / "run")["status"] == "diverged"


MY_KL = '''
import tensorflow as tf
import yaml
from vae.kl import DirectedKL


class Huberized(DirectedKL):
    """The closed form, linear beyond `knee` nats."""

    def __init__(self, direction="forward", knee=1.0):
        super().__init__(direction)
        self.knee = knee

    def divergence(self, first, second):
        exact = first.kl_divergence(second)
        return tf.where(exact < self.knee, exact, self.knee + 0.5 * (exact - self.knee))
'''


@pytest.mark.thorough
def test_a_class_of_the_user_s_trains_is_resumed_and_evaluated(tmp_path: Path) -> None:
    (tmp_path / "my_kl.py").write_text(MY_KL)
    environment = {"PYTHONPATH": str(tmp_path)}
    options = ["kl._target_=my_kl.Huberized", "+kl.knee=0.5", "data.take=256", "hydra.run.dir=run", QUICK]
    resume = ["train.py", "resume=run", "trust=my_kl", "trainer.epochs=2"]
    for command in (["train.py", *options, "trainer.epochs=1"], resume):
        ended = run_script(*command, cwd=tmp_path, **environment)
        assert ended.status == 0, ended.stderr
    summary = summary_of(tmp_path / "run")
    assert (summary["kl"], summary["epochs"]) == ("my_kl.Huberized", 2)
    assert summary["validation"]["regularizer"] <= summary["validation"]["kl"]
    ended = run_script("evaluate.py", "run=run", "trust=my_kl", "nll_samples=5", cwd=tmp_path, **environment)
    assert ended.status == 0, ended.stderr


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_help_lists_groups_and_options(script: str, tmp_path: Path) -> None:
    ended = run_script(script, "--help", cwd=tmp_path)
    assert ended.status == 0
    assert f"python {script}" in ended.stdout
    if script == "train.py":
        examples = ended.stdout.partition("==")[0]
        assert len(re.findall(r"^  python train\.py", examples, re.MULTILINE)) == 5
        assert "kl: analytic, backend, jensen_shannon, keras_loss" in ended.stdout
        assert 'eval "$(python train.py --shell-completion install=bash)"' in ended.stdout
        for option in ("trainer.epochs", "kl.direction=forward|reverse|symmetric", "data.binarization="):
            assert option in ended.stdout
    assert not list(tmp_path.iterdir())


def test_the_composed_configuration_is_shown_and_nothing_is_trained(tmp_path: Path, no_tensorflow: str) -> None:
    ended = run_script("train.py", "--cfg", "job", "kl=backend", "seed=3", cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 0, ended.stderr
    shown = yaml.safe_load(ended.stdout)
    assert (shown["kl"]["_target_"], shown["kl"]["support"], shown["seed"]) == ("vae.kl.Backend", "quadrature", 3)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("kl=keras", "kl=keras_loss kl=keras_loss_calibrated"),
        ("trainer.ep", "trainer.epochs="),
        ("data=mn", "data=mnist"),
    ],
)
def test_bash_completes_as_the_documents_say(typed: str, completed: str) -> None:
    """By the line that they give, as the shell does it when the user presses the tab key."""
    line = f"python train.py {typed}"
    script = f"""
        eval "$(python train.py --shell-completion install=bash)"
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({line}) COMP_CWORD=2
        hydra_bash_completion
        echo "${{COMPREPLY[@]}}"
    """
    environment = {**inherited_environment(), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "-c", script], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == completed, ended.stderr


@pytest.mark.thorough
def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    """In a pseudo-terminal there is a bar with the time left, and no line for every epoch."""
    import pty

    leader, follower = pty.openpty()
    options = ["trainer.epochs=2", "data.take=256", "audit=none", "hydra.run.dir=run", QUICK]
    command = [sys.executable, str(REPOSITORY / "train.py"), *options]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "150"}
    process = subprocess.Popen(command, cwd=tmp_path, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    while True:
        try:
            shown += os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
    os.close(leader)
    assert process.wait(timeout=60) == 0, shown.decode()
    text = shown.decode()
    assert "epoch 2/2" in text
    assert "━" in text
    assert "ELBO -" in text
    assert " left " in text
