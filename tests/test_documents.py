"""What the documents say is true: their code runs, their commands compose, their files are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from tests.conftest import REPOSITORY, run_script
from vae import config as configuration

README = (REPOSITORY / "README.md").read_text()
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text()


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


def test_the_article_s_example_gives_what_it_says(tmp_path: Path) -> None:
    example = next(block for block in blocks(README, "python") if "keras.losses.KLDivergence" in block)
    ended = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["0.2231", "0.2231"]
    assert "tf.keras.backend.kl_divergence` does not exist" in README


def test_the_name_in_the_article_is_still_missing() -> None:
    import keras
    import tensorflow as tf

    assert not hasattr(tf.keras.backend, "kl_divergence")
    assert not hasattr(keras.ops, "kl_divergence")
    assert tf.keras.losses.kld is keras.losses.kl_divergence


def test_the_model_without_the_scripts(tmp_path: Path) -> None:
    example = next(block for block in blocks(README, "python") if "from vae import VAE" in block)
    example += "\nprint(posterior.mu.shape, posterior.log_var.shape, new_images.shape, again.kl.direction)"
    ended = subprocess.run(
        [sys.executable, "-c", example],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "(256, 16) (256, 16) (10, 28, 28, 1) forward"


def test_plain_distributions_give_what_they_say(tmp_path: Path) -> None:
    example = next(block for block in blocks(README, "python") if "from vae.kl import divergence" in block)
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    ended = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    said = re.findall(r"#.*?(\[?[\d. ]+\]?)$", example, re.MULTILINE)
    assert ended.stdout.splitlines() == [line.strip() for line in said]
    assert len(said) == 3


COMMANDS = sorted(
    {
        match.group(1).strip()
        for document in (README, CONTRIBUTING)
        for match in re.finditer(r"python train\.py([^`#\n|]*)", document)
        if "RUN_DIR" not in match.group(1) and "_target_" not in match.group(1) and "kl=hellinger" not in match.group(1)
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command: str) -> None:
    """A sweep by the first of its values."""
    overrides = [word.split(",")[0] for word in command.split() if "=" in word]
    with initialize_config_dir(str(REPOSITORY / "configs"), version_base="1.3"):
        assert configuration.train_settings(compose("train", overrides)).trainer.epochs > 0


def test_links_lead_somewhere() -> None:
    for document in (README, CONTRIBUTING):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document):
            assert (REPOSITORY / target).exists(), target


def test_a_kl_of_one_class_and_one_yaml_file_trains(tmp_path: Path) -> None:
    """CONTRIBUTING's worked example, in a folder of its own, with no edit of the project."""
    code = next(block for block in blocks(CONTRIBUTING, "python") if "class Hellinger" in block)
    (tmp_path / "hellinger.py").write_text(code)
    (tmp_path / "configs" / "kl").mkdir(parents=True)
    (tmp_path / "configs" / "kl" / "hellinger.yaml").write_text(blocks(CONTRIBUTING, "yaml")[0])
    ended = run_script(
        "train.py",
        f"--config-dir={tmp_path / 'configs'}",
        "kl=hellinger",
        "+kl@audit.hellinger=hellinger",
        "trainer.epochs=2",
        "data.take=300",
        "trainer.engine=keras",
        "hydra.run.dir=run",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert ended.status == 0, ended.stderr
    # 4 H^2 of N(1, 1) against N(0, 1) is 4 (1 - exp(-1/8)) = 0.47 nats, where the KL is 0.5
    assert "effective beta is 0.94, not 1" in ended.stderr
    assert "audit/gap/hellinger" in (tmp_path / "run" / "history.csv").read_text().splitlines()[0]
