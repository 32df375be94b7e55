"""A public name of a package means the same whatever was imported before."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import vae
from tests.conftest import REPOSITORY

PACKAGES = ["vae", *(module.name for module in pkgutil.walk_packages(vae.__path__, "vae.") if module.ispkg)]


def submodules(package: str) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_is_that_of_a_submodule(package: str) -> None:
    """Importing `package.name` would otherwise replace the public object by the module."""
    module = importlib.import_module(package)
    objects = {name for name, value in vars(module).items() if not inspect.ismodule(value)}
    assert set(getattr(module, "__all__", objects)) & set(submodules(package)) == set()


@pytest.mark.thorough
@pytest.mark.parametrize("package", ["vae.compare", "vae.runs"])
def test_the_order_of_imports_changes_nothing(package: str) -> None:
    program = """
import importlib, sys
package, *modules = sys.argv[1:]
for module in modules:
    importlib.import_module(f"{package}.{module}")
names = importlib.import_module(package).__all__
exec(f"from {package} import {', '.join(names)}")
print([(name, type(globals()[name]).__name__, globals()[name].__module__) for name in names])
"""
    modules = [name for name in submodules(package) if name != "__main__"]
    found = {
        subprocess.run(
            [sys.executable, "-c", program, package, *imported],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for imported in ([], modules, modules[::-1])
    }
    assert len(found) == 1
    assert "module" not in {kind for _, kind, _ in eval(found.pop())}
