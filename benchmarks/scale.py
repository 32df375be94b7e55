"""Measure how time, memory and disk usage scale with epochs, weights, images, runs and workers.

    python benchmarks/scale.py [--parts NAME ...] [--small] [--json FILE]

A part is measured at three sizes, and a straight line is fitted to the figures.
Its slope is the cost of one more epoch, weight, run, worker or image. "Growth" is the slope between the two larger
sizes over that between the two smaller ones: about 1 if the cost is proportional, 2 if it grows with the square. The
last columns multiply the slope by a large size. Bytes are exact but for the compression of checkpoints and the workers'
own messages; seconds are those of one try, or of three if they are short.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import compare
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

TRAIN = Path(__file__).parents[1] / "train.py"
MEBIBYTE = 2**20
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")
TENSORBOARD_SECONDS = 300  # until it has read all runs
QUIET = ["audit=none", "trainer.epochs=1"]


@dataclass(frozen=True)
class Growth:
    """Figures at increasing sizes.

    Args:
        what: the cost, and of what.
        unit: of the figures: "bytes", "MiB" or "s".
        of: what the sizes count.
        sizes: the sizes, in increasing order.
        figures: a figure for each size.
        large: a size to multiply the slope by.
    """

    what: str
    unit: str
    of: str
    sizes: Sequence[int]
    figures: Sequence[float]
    large: float

    @property
    def slope(self) -> float:
        """The cost of one more."""
        return float(np.polyfit(self.sizes, self.figures, 1)[0])

    @property
    def growth(self) -> float:
        """The last slope over the first; NaN if there is no first one."""
        first, *_, last = np.diff(self.figures) / np.diff(self.sizes)
        return float(last / first) if first else float("nan")


def epochs_of_a_run(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the bytes that a run writes, against its epochs."""
    sizes = (5, 10, 20) if small else (50, 100, 200)
    runs = [trained(folder / str(epochs), f"trainer.epochs={epochs}")[0] for epochs in sizes]
    events = [sum(map(size_of, run.rglob("events.*"))) for run in runs]
    yield Growth("TensorBoard's events", "bytes", "epoch", sizes, events, 1e5)
    yield Growth("history.csv", "bytes", "epoch", sizes, [size_of(run / "history.csv") for run in runs], 1e5)
    checkpoints = [sum(map(size_of, (run / "checkpoints").iterdir())) for run in runs]
    yield Growth("checkpoints on disk", "bytes", "epoch", sizes, checkpoints, 1e5)


def weights_of_a_model(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the bytes of a checkpoint, against the weights of the model."""
    widths = (32, 64, 128) if small else (500, 724, 1030)  # squares, so that weights double roughly
    sizes, bytes_of_last = [], []
    for width in widths:
        run, _, _ = trained(folder / str(width), *QUIET, f"model.hidden=[{width},{width}]")
        sizes.append(weights_in(run / "model.keras"))
        bytes_of_last.append(size_of(max((run / "checkpoints").iterdir())))
    yield Growth("a checkpoint", "bytes", "weight", sizes, bytes_of_last, 1e9)


def images_of_a_data_set(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the bytes on disk and the peak memory of a run that streams its images, against their number."""
    from concurrent.futures import ProcessPoolExecutor

    from memory import VALIDATION_IMAGES, Setting, build_images, memory_of_a_run
    from workers import SPAWNED, silence

    sizes = (1000, 2000, 4000) if small else (50_000, 100_000, 200_000)
    stored, peaks = [], []
    with ProcessPoolExecutor(1, SPAWNED, initializer=silence, max_tasks_per_child=1) as fresh:
        fresh.submit(build_images, folder, sizes[-1] + VALIDATION_IMAGES).result()
        for images in sizes:
            peaks.append(fresh.submit(memory_of_a_run, Setting("streamed", images), folder).result().peak)
            unpacked = folder / "unpacked"
            stored.append(sum(size_of(file) for file in unpacked.rglob("*") if file.is_file()))
            shutil.rmtree(unpacked)
    yield Growth("unpacked images of 28x28", "bytes", "image", sizes, stored, 1e9)
    yield Growth("peak memory, streamed", "MiB", "image", sizes, peaks, 1e9)


def runs_of_a_sweep(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the seconds and the peak memory of a sweep, against its runs."""
    sizes = (2, 4, 8) if small else (10, 20, 40)
    found = [
        trained(folder / str(runs), "-m", f"seed=range({runs})", "trainer.epochs=20", sweep=True) for runs in sizes
    ]
    yield Growth("a sweep, one run at a time", "s", "run", sizes, [seconds for _, seconds, _ in found], 1e5)
    yield Growth("peak memory of a sweep", "MiB", "run", sizes, [peak for _, _, peak in found], 1e5)


def runs_of_a_comparison(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the seconds of a comparison, against its runs, with four configurations and with one for each two runs."""
    sizes = (50, 100, 200) if small else (1000, 2000, 4000)
    for name, configurations in (
        ("4 configurations", lambda _: 4),
        ("a configuration for two", lambda runs: runs // 2),
    ):
        seconds = []
        for runs in sizes:
            copies = compare.many_runs(folder / f"{name}-{runs}", runs, 10, configurations(runs))
            tries = [compare.timed(copies) for _ in range(4)][1:]
            seconds.append(statistics.median(stages["command"][0] for stages in tries))
            shutil.rmtree(copies)
        yield Growth(f"a comparison, {name}", "s", "run", sizes, seconds, 1e5)


def runs_in_tensorboard(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the seconds until TensorBoard lists all runs, and its memory, against the number of runs."""
    sizes = (5, 10, 20) if small else (800, 1600, 3200)
    run, _, _ = trained(folder / "run", "trainer.epochs=10")
    seconds, memory = [], []
    for runs in sizes:
        log = folder / "log"
        for number in range(runs):
            shutil.copytree(run / "tensorboard", log / str(number) / "tensorboard")
        tries = [started_tensorboard(log, 2 * runs) for _ in range(3)]
        seconds.append(statistics.median(seconds for seconds, _ in tries))
        memory.append(statistics.median(mebibytes for _, mebibytes in tries))
        shutil.rmtree(log)
    yield Growth("TensorBoard's start", "s", "run", sizes, seconds, 1e5)
    yield Growth("TensorBoard's memory", "MiB", "run", sizes, memory, 1e5)


def workers_of_a_run(folder: Path, small: bool) -> Iterator[Growth]:
    """Yield the bytes that workers send each other in a step, against the number of workers."""
    sizes = (2, 3, 4)
    steps = 50
    sent = []
    for count in sizes:
        once, longer = (sent_by_workers(folder / f"{count}-{epochs}", count, epochs) for epochs in (1, 1 + steps // 10))
        sent.append((longer - once) / steps)
    weights = weights_in(folder / f"{sizes[0]}-1" / "run" / "model.keras")
    yield Growth(f"sent a step, {weights:,} weights", "bytes", "worker", sizes, sent, 1e3)


PARTS: dict[str, Callable[[Path, bool], Iterator[Growth]]] = {
    "epochs": epochs_of_a_run,
    "weights": weights_of_a_model,
    "images": images_of_a_data_set,
    "sweep": runs_of_a_sweep,
    "comparison": runs_of_a_comparison,
    "tensorboard": runs_in_tensorboard,
    "workers": workers_of_a_run,
}


def trained(directory: Path, *options: str, sweep: bool = False) -> tuple[Path, float, float]:
    """Run train.py; return the directory, the seconds, and the largest resident set of the process in MiB."""
    where = f"hydra.{'sweep' if sweep else 'run'}.dir={directory}"
    directory.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, TRAIN, *options, where],
        cwd=directory.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"train.py {' '.join(options)}: ended with status {process.returncode}")
    return directory, time.perf_counter() - began, usage.ru_maxrss * 1024 / MEBIBYTE


def sent_by_workers(folder: Path, count: int, epochs: int) -> float:
    """Return the bytes that pass over the loopback while so many workers train on digits, ten steps an epoch."""
    folder.mkdir(parents=True)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    options = ["trainer.strategy=multi_worker", "audit=none", f"trainer.epochs={epochs}", "hydra.run.dir=run"]
    before = int(LOOPBACK.read_text())
    workers = []
    for index in range(count):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
        workers.append(
            subprocess.Popen(
                [sys.executable, TRAIN, *options],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    for worker in workers:
        worker.wait()
    if any(worker.returncode for worker in workers):
        raise SystemExit(f"{count} workers: one failed")
    return int(LOOPBACK.read_text()) - before


def started_tensorboard(log: Path, names: int) -> tuple[float, float]:
    """Start TensorBoard; return the seconds until it lists so many runs, and its memory then, in MiB."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/data/plugin/scalars/tags"
    began = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", log, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while time.perf_counter() - began < TENSORBOARD_SECONDS:
            time.sleep(0.05)
            try:
                with urllib.request.urlopen(url, timeout=TENSORBOARD_SECONDS) as answer:
                    found = len(json.load(answer))
            except OSError:  # it does not listen yet
                continue
            if found >= names:
                return time.perf_counter() - began, resident_with_children(server.pid)
        raise SystemExit(f"TensorBoard did not read {names} runs within {TENSORBOARD_SECONDS} s")
    finally:
        server.terminate()
        server.wait()


def resident_with_children(process: int) -> float:
    """Return the resident set of a process and its children, in MiB."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{number}/statm").read_text().split()[1]) for number in (process, *children))
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def weights_in(model: Path) -> int:
    """Return the number of trainable weights of a saved model."""
    from vae.compat import load_tensorflow

    load_tensorflow()
    import keras

    import vae.model  # noqa: F401  (registers the class)

    loaded = keras.saving.load_model(model, compile=False)
    return int(sum(np.prod(variable.shape) for variable in loaded.trainable_variables))


def size_of(file: Path) -> int:
    """Return the bytes of a file."""
    return file.stat().st_size


def readable(value: float, unit: str) -> str:
    """Return a figure with its unit, in three digits."""
    units = {"bytes": ("B", 1e3, "kMGTPE"), "MiB": ("MiB", 1024.0, ""), "s": ("s", 1e3, "")}
    name, base, prefixes = units[unit]
    prefix = ""
    for larger in prefixes:
        if abs(value) < base:
            break
        value, prefix = value / base, larger
    return f"{value:.3g} {prefix}{name}"


def table_of(found: Sequence[Growth]) -> Table:
    """Return a table of all parts."""
    columns = ["sizes", "figures", "one more", "growth", "at a large size"]
    table = Table("cost", *columns, title=f"growth, {os.cpu_count()} cores", box=box.SIMPLE)
    for growth in found:
        table.add_row(
            growth.what,
            f"{', '.join(f'{size:,}' for size in growth.sizes)} {growth.of}s",
            ", ".join(readable(figure, growth.unit) for figure in growth.figures),
            readable(growth.slope, growth.unit),
            f"{growth.growth:.2f}",
            f"{readable(growth.slope * growth.large, growth.unit)} at {growth.large:.0e}",
        )
    return table


def main() -> None:
    """Measure, print the table and write the JSON file if one is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="NAME")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the benchmark")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    console = Console(width=None if sys.stdout.isatty() else 200)  # a file has no width of its own
    found: list[Growth] = []
    with console.status("") as status:
        for name in arguments.parts:
            status.update(name)
            with tempfile.TemporaryDirectory() as folder:
                found += PARTS[name](Path(folder), arguments.small)
    console.print(table_of(found))
    if arguments.json:
        rows: list[dict[str, Any]] = [
            {**asdict(growth), "slope": growth.slope, "growth": growth.growth} for growth in found
        ]
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "parts": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
