"""Mutation testing: how many faults, put into the code one at a time, do the quick tests find?

    pip install cosmic-ray==8.7.0
    python .ci/mutation.py [AREA ...] [--sample 60] [--seed 0] [--workers 2] [--json FILE]

Cosmic Ray makes the faults, such as `<` for `<=`, `-` for `+`, 1 for 0, or a decorator less. From those of each area, a
sample is drawn. Each is written into a copy of the project, and the area's own tests run there until one fails: it is
killed. The others have survived, although a test outside of the area may find them, and are printed at once for a human
to look at. The interval of the share that is killed is Wilson's, 95 %.

Faults in type annotations, and `|` replaced by another operator, are left out: they are errors when the module is
imported, so that any test would find them.
"""

import argparse
import ast
import difflib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from rich.progress import track
from statsmodels.stats.proportion import proportion_confint

ROOT = Path(__file__).resolve().parents[1]
#: Modules, and the tests that are asked to find a fault in one
AREAS = {
    "kl": ("vae/kl/*.py", "tests/kl tests/conformance"),
    "latents": ("vae/latents/*.py", "tests/latents tests/kl tests/evaluation/test_information.py"),
    "likelihoods": (
        "vae/likelihoods/*.py",
        "tests/test_likelihoods.py tests/evaluation/test_importance_sampling.py tests/evaluation/test_measurement.py",
    ),
    "model": (
        "vae/model.py",
        "tests/test_model.py tests/test_relaxed_elbo.py tests/test_saving.py tests/test_schedules.py",
    ),
    "compare": (
        "vae/compare/configurations.py vae/compare/convergence.py vae/compare/frontier.py vae/compare/inference.py "
        "vae/compare/pairs.py vae/compare/table.py vae/compare/verdicts.py",
        "tests/compare",
    ),
    "checkpoints": ("vae/training/checkpoints.py vae/training/progress.py", "tests/training"),
}
#: Loaded once, before the tests of each fault start in a process that is forked from there
_SLOW_TO_IMPORT = ["pytest", "pandas", "scipy.stats", "statsmodels.api", "matplotlib.pyplot", "tensorflow", "keras"]
#: So many times as long as without a fault, tests may take. A fault that takes longer counts as found: an endless loop
_PATIENCE = 5


class Fault(NamedTuple):
    """A module with one fault in it."""

    path: str
    line: int
    code: str
    before: str

    def __str__(self) -> str:
        lines = [*difflib.unified_diff(self.before.splitlines(), self.code.splitlines(), lineterm="", n=0)][2:]
        return f"{self.path}:{self.line}\n" + "\n".join(f"    {line}" for line in lines if not line.startswith("@@"))


def main() -> int:
    """Test the areas, print what survives, and return 1 if less than 90 % of the sampled faults were killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", metavar="AREA", nargs="*", default=[*AREAS], help=f"of {', '.join(AREAS)}")
    parser.add_argument("--sample", type=int, default=60, help="faults of each area; 0 for all (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the figures and the survivors to this file")
    options = parser.parse_args()
    if unknown := [area for area in options.areas if area not in AREAS]:
        parser.error(f"AREA={unknown[0]}: must be one of {', '.join(AREAS)}")
    results = {area: _tested(area, options) for area in options.areas}
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    killed, sampled = (sum(result[name] for result in results.values()) for name in ("killed", "sampled"))
    print(f"all: {_share(killed, sampled)}")
    return 0 if killed >= 0.9 * sampled else 1


def _tested(area: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of an area and its survivors."""
    modules, tests = AREAS[area]
    faults = [fault for glob in modules.split() for path in sorted(ROOT.glob(glob)) for fault in _faults(path)]
    sample = random.Random(options.seed).sample(faults, min(options.sample or len(faults), len(faults)))
    with tempfile.TemporaryDirectory() as directory:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.workers):
            copy = _copy(Path(directory, str(number)))
            copies.put(copy)
        patience = _PATIENCE * _seconds_without_fault(copy, tests.split())

        def survives(fault: Fault) -> bool:
            copy = copies.get()
            try:
                module = copy / fault.path
                module.write_text(fault.code)
                return _passes(copy, tests.split(), module.stem, patience)
            finally:
                module.write_text(fault.before)
                copies.put(copy)

        survivors = []
        with ThreadPoolExecutor(options.workers) as pool:
            for fault, survived in zip(sample, track(pool.map(survives, sample), area, len(sample)), strict=True):
                if survived:
                    survivors.append(str(fault))
                    print(fault, flush=True)
    killed = len(sample) - len(survivors)
    print(f"{area}: {_share(killed, len(sample))}, sampled from {len(faults):,}")
    return {"faults": len(faults), "sampled": len(sample), "killed": killed, "survivors": survivors}


def _share(killed: int, sampled: int) -> str:
    low, high = proportion_confint(killed, sampled, method="wilson")
    return f"{killed} of {sampled} killed, {killed / sampled:.1%} ({low:.1%} to {high:.1%})"


def _faults(path: Path) -> Iterator[Fault]:
    """Yield every fault that Cosmic Ray makes in a module."""
    source = path.read_text()
    annotations = _annotations(source)
    nodes = [*ast_nodes(get_ast(source))]
    for name in operator_names():
        if "BitOr_" in name or get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        places = [place for node in nodes for place, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(places):
            if not any(start <= (line, column) < end for start, end in annotations):
                code = mutate_code(source, operator, occurrence)
                yield Fault(str(path.relative_to(ROOT)), line, code, source)


def _annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return where annotations begin and end: lines and columns."""
    nodes = [getattr(node, name, None) for node in ast.walk(ast.parse(source)) for name in ("annotation", "returns")]
    return [((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)) for node in nodes if node]


def _copy(directory: Path) -> Path:
    """Return a copy of the project's own files, in which modules can be changed."""
    for name in subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")[:-1]:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, directory / name, follow_symlinks=False)
    return directory


def _seconds_without_fault(copy: Path, tests: Sequence[str]) -> float:
    """Return how long the tests of an area take that all pass."""
    start = time.monotonic()
    if not _passes(copy, tests):
        output = copy.with_suffix(".output").read_text()
        raise SystemExit(f"{output}\npytest {' '.join(tests)}: fails, although there is no fault")
    return time.monotonic() - start


def _passes(copy: Path, tests: Sequence[str], module: str = "", patience: float | None = None) -> bool:
    """Return True if tests pass in a copy of the project, in so many seconds. Those of the named module come first."""
    process = multiprocessing.get_context("forkserver").Process(target=_test, args=(copy, tests, module))
    process.start()
    process.join(patience)
    if process.is_alive() and process.pid:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    return process.exitcode == 0


def _test(copy: Path, tests: Sequence[str], module: str) -> None:
    """Run tests in this process, which has not imported the package yet, and exit with their status."""
    os.setpgid(0, 0)  # so that what the tests start ends with this process
    with copy.with_suffix(".output").open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = sys.path[0] = str(copy)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True  # a fault of the same size and second would not be read
    status = pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", *tests], [_NearestFirst(module)])
    sys.stdout.flush()
    os._exit(int(status))


class _NearestFirst:
    """A plugin of pytest that runs the tests of a module before the others."""

    def __init__(self, module: str) -> None:
        self._name = f"test_{module}.py"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: item.path.name != self._name)


if __name__ == "__main__":
    multiprocessing.set_forkserver_preload(_SLOW_TO_IMPORT)
    sys.exit(main())
