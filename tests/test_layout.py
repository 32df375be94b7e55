"""Imports go down the floors only, and what should be light is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "vae"

#: From the ground up. A module may import from its own floor's place and from any floor below.
FLOORS = [
    {"errors", "files", "images", "noise", "serialization", ""},
    {"settings", "cluster", "startup", "schedules", "diagnosis"},
    {"latents", "likelihoods", "data"},
    {"kl"},
    {"objective"},
    {"networks"},
    {"model"},
    {"figures"},
    {"training", "evaluation"},
    {"compare"},
    {"config"},
]


def floor_of(place: str) -> int:
    return next(number for number, places in enumerate(FLOORS) if place in places)


def imports(path: Path) -> list[tuple[str, bool]]:
    """The modules of `vae` that a file imports, and whether that is only for type checking."""
    found = []
    tree = ast.parse(path.read_text())
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"vae.{alias.name}" for alias in node.names] if node.module == "vae" else [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found += [(name, id(node) in typing_only) for name in names if name.split(".")[0] == "vae"]
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))
IMPORTS_HYDRA = re.compile(r"^\s*(import|from) (hydra|omegaconf)", re.MULTILINE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_import_goes_down_only(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    place = "" if parts == ("__init__",) else parts[0]
    for name, typing_only in imports(path):
        target = name.split(".")[1] if "." in name else ""
        if place == "" and typing_only:
            continue  # the package's lazy names
        if not (PACKAGE / target).is_dir() and not (PACKAGE / f"{target}.py").exists():
            target = ""  # a name of the package itself, such as its version
        same = target == place
        assert same or floor_of(target) < floor_of(place), f"{path.name} ({place}) imports {name}"


def test_every_module_has_a_floor() -> None:
    places = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in MODULES} - {"__init__"}
    assert places == set.union(*FLOORS) - {""}


def test_hydra_lives_in_one_place_and_the_scripts() -> None:
    ours = [*MODULES, *REPOSITORY.glob("*.py")]
    users = {path.relative_to(REPOSITORY) for path in ours if IMPORTS_HYDRA.search(path.read_text())}
    assert {str(path) for path in users if path.parent != Path("vae/config")} == {"train.py", "evaluate.py"}


LIGHT = [
    ("import vae", ["tensorflow", "keras", "numpy", "hydra"]),
    ("import vae.config", ["tensorflow", "keras", "numpy"]),
    ("import vae.compare.__main__", ["tensorflow", "keras"]),
    ("import vae.kl.check", ["tensorflow", "keras"]),
    ("import vae.config.schema", ["tensorflow", "keras", "hydra", "omegaconf"]),
]


@pytest.mark.parametrize(("statement", "absent"), LIGHT)
def test_is_light_to_import(statement: str, absent: list[str]) -> None:
    program = f"import sys; {statement}; print([name for name in {absent} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_a_public_name_is_resolved_on_first_use() -> None:
    program = (
        "import sys, vae; before = 'tensorflow' in sys.modules; vae.VAE; print(before, 'tensorflow' in sys.modules);"
        "print(sorted(vae.__all__) == dir(vae), hasattr(vae, 'nonsense'))"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True", "True", "False"]
