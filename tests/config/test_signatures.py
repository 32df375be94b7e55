"""Options are read from the source of a class, without an import."""

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.conftest import REPOSITORY
from vae.config.signatures import REQUIRED, is_subclass, options_of, summary_of
from vae.errors import UserError
from vae.options import check_option

OURS = sorted(
    line.partition(":")[2].strip()
    for path in (REPOSITORY / "configs").rglob("*.yaml")
    for line in path.read_text().splitlines()
    if line.strip().startswith("_target_: vae.") and "cli" not in line
)


def write_module(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a module of a user's that cannot be imported, and return its name."""
    name = f"module_of_{folder.name.replace('-', '_')}"
    (folder / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(folder))
    return name


def test_a_user_class_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = write_module(
        tmp_path,
        '''
        from typing import Literal
        from vae.kl import DirectedKL
        from vae.options import PositiveFloat

        raise RuntimeError("imported")

        class MyKL(DirectedKL):
            """A KL.

            Args:
                alpha: the order.
                form: the form of
                    the term.
            """

            def __init__(self, alpha: PositiveFloat = 2.0, form: Literal["cubic", "square"] = "cubic", other=None):
                pass
        ''',
        monkeypatch,
    )
    options = options_of(f"{module}.MyKL")
    assert [*options] == ["alpha", "form", "other"]
    assert (options["alpha"].default, options["form"].default, options["other"].default) == (2.0, "cubic", None)
    assert (options["alpha"].description, options["form"].description) == ("the order.", "the form of the term.")
    with pytest.raises(UserError, match=r"kl\.alpha=-1: .*greater than 0"):
        check_option("kl.alpha", options["alpha"].kind, -1)
    with pytest.raises(UserError, match=r"'cubic' or 'square'"):
        check_option("kl.form", options["form"].kind, "round")
    check_option("kl.other", options["other"].kind, object())
    assert is_subclass(f"{module}.MyKL", "vae.kl.KLRegularizer")
    assert not is_subclass(f"{module}.MyKL", "vae.latents.Prior")


def test_an_inherited_constructor_is_the_base_class_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = write_module(
        tmp_path, "import vae.kl.backend\nclass Mine(vae.kl.backend.Backend):\n    pass\n", monkeypatch
    )
    assert options_of(f"{module}.Mine") == options_of("vae.kl.Backend")


VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@pytest.mark.parametrize("target", OURS)
def test_our_classes_are_read_as_python_sees_them(target: str) -> None:
    module, _, name = target.rpartition(".")
    cls = getattr(__import__(module, fromlist=[name]), name)
    constructor = next(base for base in cls.__mro__ if "__init__" in vars(base))
    _, *found = inspect.signature(constructor.__init__).parameters.items()  # without self; Keras's __new__ hides it
    parameters = {
        key: parameter
        for key, parameter in found
        if parameter.kind not in VARIADIC and not constructor.__module__.startswith("keras")
    }
    options = options_of(target)
    assert [*options] == [*parameters]
    for key, parameter in parameters.items():
        expected = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        expected = list(expected) if isinstance(expected, tuple) else expected
        assert options[key].default == expected
        assert options[key].kind is not Any, f"{target}: {key} has no type that is known without an import"
        assert options[key].description, f"{target}: {key} is not described"
    assert summary_of(target)


def test_a_keras_class_is_read_too() -> None:
    options = options_of("keras.optimizers.Adam")
    assert options["beta_1"].default == 0.9
    assert is_subclass("keras.optimizers.Adam", "keras.optimizers.Optimizer")
    assert not is_subclass("keras.optimizers.Adam", "keras.callbacks.Callback")


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; from vae.config.signatures import options_of;"
        "[options_of(name) for name in ('vae.kl.Backend', 'vae.data.ImageSource', 'keras.optimizers.Adam')];"
        "print([name for name in ('tensorflow', 'keras', 'numpy', 'hydra') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("MyKL", "package.Class"),
        ("no_such_module.MyKL", "no module no_such_module"),
        ("vae.kl.Nothing", "no class Nothing in vae.kl"),
        ("vae.kl.divergence", "no class divergence"),
        ("not a name.X", "package.Class"),
    ],
)
def test_a_class_that_is_not_there_is_named(target: str, wrong: str) -> None:
    with pytest.raises(UserError, match=wrong) as caught:
        options_of(target)
    assert target in str(caught.value)


CASES: list[tuple[Any, Any, str]] = [
    (Literal["forward", "reverse"], "sideways", "'forward' or 'reverse'"),
    (int | None, 2.5, "integer"),
    (float, True, "number"),
    (float, float("nan"), "finite"),
    (bool, "perhaps", "boolean"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), CASES)
def test_a_value_of_another_type_is_named_with_what_would_be_right(kind: Any, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        check_option("group.name", kind, value)
    assert str(caught.value).startswith("group.name=")
    assert expected in str(caught.value)
