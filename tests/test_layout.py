"""Imports go down the floors only, and what should be light is."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "vae"

#: From the ground up. A module may import from its own place and from any floor below.
FLOORS = [
    {"errors", "invocation", "processes", ""},
    {"program_cache"},
    {"options", "compat", "parsing", "sharing", "threefry", "named_paths"},
    {"runs", "random", "saving", "weigh"},
    {"diagnosis", "schedules"},
    {"latents", "likelihoods", "data"},
    {"kl"},
    {"conformance"},
    {"kl.check"},
    {"networks", "objectives"},
    {"model"},
    {"distributed"},
    {"evaluation"},
    {"training"},
    {"compare"},
    {"config"},
    {"cli"},
    {"scripts"},
]


def place_of(module: str) -> str:
    """Return the place of a module of `vae` among the floors: its room, or itself if it has a floor of its own."""
    parts = module.split(".")[1:]
    named = ".".join(parts[:2])
    return named if any(named in places for places in FLOORS) else "".join(parts[:1])


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


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_an_import_goes_down_only(path: Path) -> None:
    place = place_of(name_of(path))
    for name, typing_only in imports(path):
        if place == "" and typing_only:
            continue  # the package's lazy names
        is_module = (PACKAGE.parent / name.replace(".", "/")).with_suffix(".py").exists()
        target = place_of(name) if is_module or (PACKAGE.parent / name.replace(".", "/")).is_dir() else ""
        assert target == place or floor_of(target) < floor_of(place), f"{name_of(path)} ({place}) imports {name}"


def test_every_module_has_a_floor() -> None:
    places = {place_of(name_of(path)) for path in MODULES}
    assert places == set.union(*FLOORS)


def test_hydra_lives_in_one_place_and_the_scripts() -> None:
    ours = [*MODULES, *REPOSITORY.glob("*.py")]
    users = {path.relative_to(REPOSITORY) for path in ours if IMPORTS_HYDRA.search(path.read_text())}
    elsewhere = {str(path) for path in users if path.parent not in (Path("vae/cli"), Path("vae/config"))}
    assert elsewhere == {"vae/scripts/train.py", "vae/scripts/evaluate.py", "vae/compat.py"}


LIGHT = [
    ("import vae", ["tensorflow", "keras", "numpy", "hydra"]),
    ("import vae.scripts.train, vae.scripts.evaluate", ["tensorflow", "keras", "numpy", "pandas"]),
    ("import vae.cli", ["tensorflow", "keras", "numpy", "pandas"]),
    ("import vae.config.validation", ["tensorflow", "keras", "numpy", "hydra"]),
    ("import vae.compare.__main__", ["tensorflow", "keras"]),
    ("import vae.kl.check", ["tensorflow", "keras"]),
    ("import vae.conformance", ["tensorflow", "keras"]),
    ("import vae.weigh.__main__", ["tensorflow", "keras", "torch", "jax", "pandas"]),
    ("import vae.runs", ["tensorflow", "keras", "numpy", "pandas"]),
    ("import vae.training.options", ["tensorflow", "keras", "numpy"]),
    ("import vae.options", ["tensorflow", "keras", "numpy", "hydra"]),
]


@pytest.mark.parametrize(("statement", "absent"), LIGHT)
def test_is_light_to_import(statement: str, absent: list[str]) -> None:
    program = f"import sys; {statement}; print([name for name in {absent} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.thorough
def test_a_public_name_is_resolved_on_first_use() -> None:
    program = (
        "import sys, vae; before = 'tensorflow' in sys.modules; vae.VAE; print(before, 'tensorflow' in sys.modules);"
        "print(sorted(vae.__all__) == dir(vae), hasattr(vae, 'nonsense'))"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True", "True", "False"]
