"""The code in the documents runs, their commands compose and their links lead to files."""

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep

from tests.conftest import REPOSITORY, run_script
from vae.cli import compose
from vae.config.stored import plain
from vae.config.validation import check_train

PATHS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
DOCUMENTS = {str(path.relative_to(REPOSITORY)): path.read_text() for path in PATHS}


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


def test_the_name_in_the_article_is_still_missing() -> None:
    assert not hasattr(tf.keras.backend, "kl_divergence")
    assert not hasattr(keras.ops, "kl_divergence")
    assert tf.keras.losses.kld is keras.losses.kl_divergence


@pytest.mark.parametrize("name", [name for name, text in DOCUMENTS.items() if blocks(text, "python")])
def test_the_code_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all code of a document in order and in one namespace, and check the outputs below >>>."""
    monkeypatch.chdir(tmp_path)
    tf.io.write_file("photos/one.png", tf.io.encode_png(tf.zeros([20, 24, 3], tf.uint8)))  # for code that prepares data
    run = tmp_path / "runs" / "one"  # for code that compares runs
    run.mkdir(parents=True)
    (run / "summary.json").write_text('{"status": "finished", "seed": 0, "effective_beta": 1.0}')
    (run / "history.csv").write_text("epoch,step,seconds,validation/elbo,validation/kl\n1,10,0.5,-24.0,5.0\n")
    runner = doctest.DocTestRunner()
    namespace: dict[str, Any] = {"__name__": "example"}
    for code in blocks(DOCUMENTS[name], "python"):
        if code.startswith(">>>"):
            examples = doctest.DocTestParser().get_doctest(code, namespace, name, None, 0)
            runner.run(examples, clear_globs=False)
            namespace = examples.globs
        else:
            exec(compile(code, name, "exec"), namespace)
    assert runner.failures == 0


COMMANDS = sorted(
    {
        match.group(1).replace("\\\n", " ").strip()
        for text in DOCUMENTS.values()
        for match in re.finditer(r"python train\.py((?:\\\n|[^`#\n|])*)", text)
        if not re.search(r"RUN_DIR|resume=|_target_|=[\w.]+\.[A-Z]|--config-dir|--shell|<TAB>", match.group(1))
    }
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command: str) -> None:
    """Compose a sweep with its first values, and a search with the ends of its intervals."""
    parsed = OverridesParser.create().parse_overrides([word for word in shlex.split(command) if "=" in word])
    overrides = []
    for override in parsed:
        value = override.value()
        if isinstance(value, IntervalSweep):
            overrides.append(f"{override.key_or_group}={value.end}")
        elif override.is_sweep_override():
            overrides.append(f"{override.key_or_group}={next(override.sweep_string_iterator())}")
        elif not override.key_or_group.startswith("hydra"):
            overrides.append(override.input_line)
    check_train(plain(compose("train", *overrides)))


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Check the links of the pages at the top; the build checks those of docs/."""
    for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text()):
        assert (REPOSITORY / target).exists(), target


@pytest.mark.thorough
def test_a_kl_of_one_class_and_one_yaml_file_trains(tmp_path: Path) -> None:
    """Train with the worked example, in a folder of its own and without an edit of the project."""
    page = DOCUMENTS["docs/how-to/use-my-kl.md"]
    (tmp_path / "hellinger.py").write_text(next(code for code in blocks(page, "python") if "class Hellinger" in code))
    (tmp_path / "configs" / "kl").mkdir(parents=True)
    (tmp_path / "configs" / "kl" / "hellinger.yaml").write_text(blocks(page, "yaml")[0])
    ended = run_script(
        "train.py",
        f"--config-dir={tmp_path / 'configs'}",
        "kl=hellinger",
        "+kl@audit.hellinger=hellinger",
        "trainer.epochs=2",
        "data.take=256",
        "trainer.engine=keras",
        "hydra.run.dir=run",
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )
    assert ended.status == 0, ended.stderr
    assert "there is no effective beta" in ended.stderr
    assert "Hellinger is another divergence on purpose" in ended.stderr
    assert "audit/gap/hellinger" in (tmp_path / "run" / "history.csv").read_text().splitlines()[0]
