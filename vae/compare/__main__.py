"""Compare the runs below folders: python -m vae.compare DIR [DIR...] [--out DIR]."""

import argparse
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import vae
from vae import invocation
from vae.compare.margin import MARGIN, margin_from
from vae.compare.reading import ComparisonReader
from vae.errors import INTERRUPTED_STATUS, RunError, UserError, shorten_warnings
from vae.runs.untrusted import check_files

if TYPE_CHECKING:
    import pandas as pd

    from vae.compare.comparison import Comparison


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: the arguments of the command line; None for those of this process.
    """
    parser = argparse.ArgumentParser(invocation.call("compare"), description="Compare the runs below folders.")
    parser.add_argument("--version", action="version", version=f"vae {vae.__version__}")
    parser.add_argument("directories", metavar="DIR", nargs="+", help="a run, or a folder with runs below it")
    parser.add_argument("--format", choices=["table", "csv", "json", "markdown"], default="table")
    parser.add_argument(
        "--baseline",
        help="the configuration to compare the others with; by default the best with kl=analytic, or else of all",
    )
    parser.add_argument("--elbo", type=float, help="also report how long it took to reach this validation ELBO")
    parser.add_argument(
        "--margin",
        default=str(MARGIN),
        help=f"nats within which two configurations are equivalent (default: {MARGIN})",
    )
    parser.add_argument("--out", help="write report.html and the plots to this folder")
    parser.add_argument(
        "--tensorboard", action="store_true", help="write the differences as a run `comparison` in the first DIR"
    )
    options = parser.parse_args(arguments)
    try:
        _compare(options)
    except UserError as error:
        _say(error)
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    return 0


def _compare(options: argparse.Namespace) -> None:
    """Print the comparison, after writing the report if it was asked for.

    Raises:
        UserError: naming the argument that is wrong.
    """
    if options.out == "":
        raise UserError("--out=: is empty; name a folder")
    options.out = options.out and Path(options.out)
    try:
        if options.out and options.out.is_file():
            raise UserError(f"--out={options.out}: is a file; name a folder")
    except OSError as error:
        raise UserError(f"--out={options.out}: cannot be seen ({error.strerror}); name another folder") from None
    options.margin = margin_from(options.margin, "--margin")
    if options.elbo is not None and not math.isfinite(options.elbo):
        raise UserError(f"--elbo={options.elbo:g}: must be a number of nats, such as -100")
    comparison = ComparisonReader(forks=True).read(*options.directories)
    from vae.compare.table import compare  # takes a second to load: whatever can fail earlier has been checked

    table = compare(comparison, options.elbo)
    names = table["configuration"].tolist()
    if options.baseline is not None and options.baseline not in names:
        raise UserError(f"--baseline={options.baseline}: must be one of {'; '.join(names)}")
    written = [_written("--out", options.out, partial(_write_report, comparison, options))] if options.out else []
    if options.tensorboard:
        directory = Path(options.directories[0], "comparison")
        check_files(Path(options.directories[0]), "DIR")  # no link may lead the writing out of it
        written.append(_written("DIR", directory, partial(_write_tensorboard, comparison, options, directory)))
    _print(comparison, table, options)
    if options.elbo is not None and not table["reached"].any():
        _say(f"no run reached an ELBO of {options.elbo:g}")
    for path in written:
        print(f"wrote {path}", file=sys.stderr)


def _write_report(comparison: "Comparison", options: argparse.Namespace) -> Path:
    from vae.compare.report import write_report

    return write_report(comparison, options.out, options.baseline, options.elbo, options.margin)


def _write_tensorboard(comparison: "Comparison", options: argparse.Namespace, directory: Path) -> Path:
    from vae.compare.tensorboard import write_tensorboard

    return write_tensorboard(comparison, directory, options.baseline, options.margin)


def _written(option: str, directory: Path, write: Callable[[], Path]) -> Path:
    """Make a folder and write to it, and return the path of what was written.

    Raises:
        UserError: naming the option if there cannot be such a folder.
        RunError: if it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option}={directory}: {error.strerror}; name another folder") from error
    try:
        return write()
    except OSError as error:
        raise RunError(f"{option}={directory}: cannot be written ({error.strerror}); name another folder") from error


def _print(comparison: "Comparison", table: "pd.DataFrame", options: argparse.Namespace) -> None:
    """Print the comparison.

    Raises:
        RunError: if it cannot be written.
    """
    try:
        _show(comparison, table, options)
        print(end="", flush=True)
    except OSError as error:
        _discard_output()
        raise RunError(f"the output cannot be written ({error.strerror}); redirect it to another file") from error


def _discard_output() -> None:
    """Let what was printed, but could not be written, go nowhere: Python would try again at exit, and fail again."""
    with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _show(comparison: "Comparison", table: "pd.DataFrame", options: argparse.Namespace) -> None:
    if options.format == "csv":
        table.to_csv(sys.stdout, index=False)
    elif options.format == "json":
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
    elif options.format == "markdown":
        from vae.compare.columns import markdown_table

        print(markdown_table(table))
    else:
        from vae.compare.terminal import show_comparison

        show_comparison(comparison, options.elbo, options.baseline, options.margin)


def _say(message: object) -> None:
    print(f"{invocation.program('compare')}: {message}", file=sys.stderr)


def shell() -> None:
    """Run the command for the shell, and end the process with its exit status."""
    if hasattr(signal, "SIGPIPE"):  # not on Windows
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end quietly if the reader of a pipe, such as `head`, has ended
    shorten_warnings()
    sys.exit(main())


if __name__ == "__main__":
    shell()
