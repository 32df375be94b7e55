"""Compare the runs below folders: python -m vae.compare DIR [DIR...] [--out DIR]."""

import argparse
import json
import sys
from pathlib import Path

import pandas as pd

from vae.compare.report import cells, write_report
from vae.compare.statistics import compare
from vae.compare.terminal import show_comparison
from vae.errors import UserError
from vae.runs.loading import load_runs


def main() -> int:
    """The command: what it prints, and its exit status."""
    parser = argparse.ArgumentParser("python -m vae.compare", description="Compares the runs below folders.")
    parser.add_argument("directories", metavar="DIR", nargs="+", help="a run, or a folder with runs below it")
    parser.add_argument("--format", choices=["table", "csv", "json", "markdown"], default="table")
    parser.add_argument(
        "--baseline",
        help="the configuration to hold the others against; by default the best with kl=analytic, or of all",
    )
    parser.add_argument("--elbo", type=float, help="also say how long it took to reach this validation ELBO")
    parser.add_argument("--out", type=Path, help="write report.html and the plots there")
    arguments = parser.parse_args()
    try:
        runs = load_runs(*arguments.directories)
        table = compare(runs, arguments.elbo)
        known = table["configuration"].tolist()
        if arguments.baseline is not None and arguments.baseline not in known:
            raise UserError(f"--baseline={arguments.baseline}: must be one of {'; '.join(known)}")
        if arguments.out and arguments.out.is_file():
            raise UserError(f"--out={arguments.out}: is a file; name a folder")
    except UserError as error:
        print(f"vae.compare: {error}", file=sys.stderr)
        return 1
    _show(runs, table, arguments.format, arguments.baseline)
    if arguments.elbo is not None and table["steps_to_elbo"].isna().all():
        print(f"vae.compare: no run reached an ELBO of {arguments.elbo:g}", file=sys.stderr)
    if arguments.out:
        try:
            page = write_report(runs, arguments.out, arguments.baseline, arguments.elbo)
        except OSError as error:
            print(
                f"vae.compare: --out={arguments.out}: {error.strerror}; name another folder",
                file=sys.stderr,
            )
            return 1
        print(f"wrote {page}", file=sys.stderr)
    return 0


def _show(runs: pd.DataFrame, table: pd.DataFrame, style: str, baseline: str | None) -> None:
    if style == "csv":
        table.to_csv(sys.stdout, index=False)
    elif style == "json":
        print(json.dumps(json.loads(table.to_json(orient="records")), indent=2))
    elif style == "markdown":
        columns, rows = cells(table)
        for row in (columns, ["---"] * len(columns), *rows):
            print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")
    else:
        show_comparison(runs, table, baseline)


if __name__ == "__main__":
    sys.exit(main())
