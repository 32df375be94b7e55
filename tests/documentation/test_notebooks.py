"""The notebooks run without outputs to start from, and print what their stored outputs say."""

import math
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from scipy import stats

from tests.conftest import REPOSITORY, inherited_environment

pytestmark = pytest.mark.thorough  # notebooks that train

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
VARIES = "varies"  # the tag of a cell whose numbers depend on the machine
LARGEST = 400_000  # bytes of a file that still reads on the web
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
PATHS = re.compile(r"(?<![\w.])(?:[A-Z]:\\|/(?:home|Users|root|tmp|var|usr|opt|mnt|private|work)/)")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell: Any) -> set[str]:
    """Return the kinds of a cell's outputs: "stdout", "stderr", "error", "image/png", "text/html", ..."""
    found: set[str] = set()
    for output in cell.outputs:
        found |= {output.name} if output.output_type == "stream" else set(output.get("data", {"error": ""}))
    return found


def text(cell: Any) -> str:
    """Return a cell's outputs as text; pictures and tables as their plain representation."""
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def everything(cell: Any) -> str:
    """Return all outputs of a cell except pictures."""
    data = [item for output in cell.outputs for item in output.get("data", {}).items()]
    return "\n".join([text(cell), *(str(content) for kind, content in data if "image" not in kind)])


def output_of(notebook: Any, name: str) -> str:
    """Return the text output of the cell with this id."""
    return next(text(cell) for cell in code_cells(notebook) if cell.id == name)


def numbers(words: str) -> list[float]:
    return [float(number) for number in NUMBER.findall(words)]


def assert_same_text(now: Any, before: Any) -> None:
    """Compare the words, and the numbers up to float32 rounding on another machine."""
    words = [" ".join(NUMBER.sub("#", text(cell)).split()) for cell in (now, before)]
    assert words[0] == words[1], now.id
    np.testing.assert_allclose(numbers(text(now)), numbers(text(before)), rtol=0.01, atol=0.002, err_msg=now.id)


def test_the_four_notebooks_exist() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]


@every_notebook
def test_runs_and_prints_its_stored_outputs(path: Path) -> None:
    files = {file.name for file in path.parent.iterdir()}
    stored = code_cells(read(path))
    notebook = read(path)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}})
    client.execute(env={**inherited_environment(), "PYTHONPATH": str(REPOSITORY)})
    for now, before in zip(code_cells(notebook), stored, strict=True):
        assert not kinds(now) & {"stderr", "error"}, text(now)
        assert kinds(now) == kinds(before), now.id
        assert not PATHS.search(everything(now)), now.id
        if VARIES not in now.metadata.get("tags", []):
            assert_same_text(now, before)
    assert {file.name for file in path.parent.iterdir()} == files


@every_notebook
def test_stored_outputs_are_fit_for_the_web(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST
    assert str(REPOSITORY) not in path.read_text()
    opening = notebook.cells[0]
    assert opening.cell_type == "markdown"
    assert opening.source.startswith("# ")
    assert "**What you will know at the end:**" in opening.source
    assert "**Time:**" in opening.source
    assert notebook.metadata.kernelspec.name == "python3"
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert set(cell.metadata) <= {"tags"}, cell.id  # no times
        assert not kinds(cell) & {"stderr", "error"}, cell.id
        assert not PATHS.search(cell.source + everything(cell)), cell.id
        draws = "plt.show()" in cell.source or "display(" in cell.source
        assert draws == ("image/png" in kinds(cell)), cell.id
        if "plt.show()" in cell.source and "show(ax" not in cell.source:
            assert "title" in cell.source, cell.id
            assert "xlabel" in cell.source, cell.id


def notebook_number(number: str) -> Any:
    return read(next(path for path in NOTEBOOKS if path.stem.startswith(number)))


def test_the_first_agrees_with_closed_forms() -> None:
    notebook = notebook_number("01")
    assert numbers(output_of(notebook, "coins")) == [round(stats.entropy([0.5, 0.5], [0.8, 0.2]), 4)] * 3
    assert f"{math.log(1e7):.3f}\nthe definition: inf" in output_of(notebook, "largest")
    reductions = [line for line in output_of(notebook, "hidden-beta").splitlines() if line.endswith(("5", "0"))]
    assert [numbers(line)[-1] for line in reductions] == [1 / 8, 1 / 8, 4.0, 1.0, 1.0]  # 4 images, 8 latent variables
    exact = [line for line in output_of(notebook, "limits").splitlines() if " exact " in line]
    for line in exact:
        mu, log_sigma, value, by_mu, by_log_sigma = numbers(line)
        variance = math.exp(2.0 * log_sigma)
        assert value == pytest.approx(0.5 * (mu**2 + variance - 1.0) - log_sigma, abs=6e-4)
        assert by_mu == pytest.approx(mu, abs=6e-4)
        assert by_log_sigma == pytest.approx(variance - 1.0, abs=6e-4)
    assert len(exact) == 6
    row = next(line for line in output_of(notebook, "raw").splitlines() if line.startswith("raw, parameters"))
    assert numbers(row)[1] == pytest.approx(-1.0 / math.e, abs=0.01)  # of x log x, where log x is clipped to 0


def test_the_second_finds_the_hidden_beta() -> None:
    notebook = notebook_number("02")
    rows = [line.split() for line in output_of(notebook, "compare").splitlines() if "kl=keras_loss" in line]
    assert {row[1] for row in rows} == {"kl=keras_loss"}
    differences = output_of(notebook, "differences")
    assert "kl=backend: equivalent to kl=analytic within 0.5 nats" in differences
    assert re.search(
        r"kl=keras_loss: [\d.]+ ± [\d.]+ nats worse .* beta of 0\.0625 \(3 seeds\)\.", output_of(notebook, "conclusion")
    )


def test_the_fourth_names_its_mistakes_and_corrects_them() -> None:
    notebook = notebook_number("04")
    assert "does it average over latent variables instead of summing?" in output_of(notebook, "second-check")
    assert "does it ignore sample_weight?" in output_of(notebook, "second-check")
    assert " 0 failed" in output_of(notebook, "mended-check")
    assert "equivalent to kl=analytic within 0.5 nats" in output_of(notebook, "conclusion")
