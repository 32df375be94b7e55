"""A comparison of a KL regularizer, ours or yours, with the contract: the command and the functions for tests.

On the command line::

    python -m vae.kl.check my_module.MyKL direction=reverse

The words after the class are arguments of its constructor. The command prints the measured and the expected result of
every check, and for a failed one the probable mistake. The exit status is 0 if all checks pass, else 1.

In a test, all checks at once, in every direction::

    import pytest
    from my_module import MyKL
    from vae.kl.check import assert_conforms

    @pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
    def test_my_kl_conforms(direction):
        assert_conforms(MyKL(direction=direction))

or each check as a test of its own::

    from vae.kl.check import run_checks

    @pytest.mark.parametrize("result", run_checks(MyKL()), ids=lambda result: result.name)
    def test_my_kl(result):
        assert result.passed is not False, result.advice

An approximation may fail on purpose, as `vae.kl.Backend` does because Keras clips: the failures are its cost.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from vae.compat import load_tensorflow
from vae.errors import INTERRUPTED_STATUS, UserError, kind_and_first_line
from vae.parsing import Parser, named_value

if TYPE_CHECKING:
    from vae.conformance.suite import CheckResult
    from vae.kl.base import KLRegularizer

_OUTCOMES = {True: "pass", False: "FAIL", None: "skipped"}


def run_checks(regularizer: "KLRegularizer") -> "list[CheckResult]":
    """Return the results of all checks on a regularizer, in a fixed order and the same in each call.

    The posteriors are Gaussian, the prior is N(0, 1), and values are in nats. A class whose `estimates_kl` is False
    skips the comparisons with the KL.

    Raises:
        UserError: if the regularizer does not take the contract's arguments.
    """
    from vae.conformance.suite import run

    return run(regularizer)


def assert_conforms(regularizer: "KLRegularizer") -> None:
    """Run all checks on a regularizer.

    Raises:
        AssertionError: if checks fail, with each of them and its probable mistake.
        UserError: if the regularizer does not take the contract's arguments.
    """
    failures = [describe_failure(result) for result in run_checks(regularizer) if result.passed is False]
    if failures:
        raise AssertionError("\n".join([f"{type(regularizer).__name__} does not conform:", *failures]))


def describe_failure(result: "CheckResult") -> str:
    """Return a failed check in one line."""
    return f"{result.name}: measured {result.measured}, expected {result.expected}: {result.advice}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print the results of all checks, and return the exit status."""
    parser = Parser("python -m vae.kl.check", description="Compare a KL regularizer with the contract.")
    parser.add_argument("target", metavar="MODULE.CLASS", help="a subclass of vae.kl.KLRegularizer, as vae.kl.Analytic")
    parser.add_argument("arguments", metavar="NAME=VALUE", nargs="*", default=[], help="an argument of its constructor")
    try:
        given = parser.parse_args(arguments)
        regularizer = _build(given.target, dict(named_value(text, "the constructor") for text in given.arguments))
        with Console().status("checking"):
            results = run_checks(regularizer)
    except UserError as error:
        print(f"vae.kl.check: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    _show(given.target, results)
    return int(any(result.passed is False for result in results))


def _build(target: str, arguments: dict[str, Any]) -> "KLRegularizer":
    """Return the regularizer that the command line describes. Load TensorFlow only if its module exists."""
    module_name, _, name = target.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in target.split(".")):
        raise UserError(f"{target}: give the class with its module, as my_module.MyKL")
    if importlib.util.find_spec(module_name.partition(".")[0]) is None:
        raise UserError(f"{target}: there is no module {module_name}, neither in this folder nor installed")
    load_tensorflow()
    from vae.kl.base import KLRegularizer

    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{target}: {module_name} cannot be imported: {kind_and_first_line(error)}") from error
    kind = getattr(module, name, None)
    if not (isinstance(kind, type) and issubclass(kind, KLRegularizer)):
        wrong = f"there is no {name} in {module_name}" if kind is None else "must be a subclass of vae.kl.KLRegularizer"
        raise UserError(f"{target}: {wrong}")
    try:
        return kind(**arguments)
    except UserError as error:
        raise UserError(f"{target}: {error}") from None
    except Exception as error:
        raise UserError(f"{target}: its constructor refuses: {kind_and_first_line(error)}") from error


def _show(target: str, results: "Sequence[CheckResult]") -> None:
    console = Console(highlight=False, markup=False, soft_wrap=True)
    table = Table(target, "", "measured", "expected", caption="nats; five standard errors (error) are allowed")
    for result in results:
        table.add_row(result.name, _OUTCOMES[result.passed], result.measured, result.expected)
    console.print(table)
    for result in results:
        if result.advice:
            console.print(f"{_OUTCOMES[result.passed]}: {result.name}: {result.advice}")
    outcomes = [_OUTCOMES[result.passed] for result in results]
    console.print(", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in _OUTCOMES.values()))
