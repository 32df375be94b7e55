"""Time the stages from `python train.py` to the first training steps.

    python benchmarks/startup.py [--rounds 5] [--json FILE] [OVERRIDE ...]

Each round is a process of its own, which ends after the first chunk of steps. The table shows medians. One more round
before the first warms the disk and is not counted.
"""

import argparse
import functools
import importlib
import json
import os
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRAIN = Path(__file__).resolve().parents[1] / "train.py"

#: Functions that train.py calls, and their names in the table
STAGES = {
    ("vae.compat", "load_tensorflow"): "importing TensorFlow and Keras",
    ("vae.config.build", "build_data"): "opening the data set",
    ("vae.config.build", "build_model"): "reading images, building the model",
}


def main() -> None:
    """Measure, print the table and, if `--json` is given, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    rounds = [one_start(arguments.overrides) for _ in range(arguments.rounds + 1)][1:]
    medians = {stage: statistics.median(seconds[stage] for seconds in rounds) for stage in rounds[0]}

    from rich.console import Console
    from rich.table import Table

    table = Table("stage", "seconds", title=f"from the command to the first chunk of steps, {os.cpu_count()} cores")
    for stage, seconds in medians.items():
        table.add_row(stage, f"{seconds:.2f}", end_section=stage == list(medians)[-2])
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"cores": os.cpu_count(), "seconds": medians}, indent=2))


def one_start(overrides: list[str]) -> dict[str, float]:
    """Start train.py in a process of its own; return the seconds of each stage."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        program = f"import sys, startup; startup.instrumented({str(report)!r}, {time.time()!r}, sys.argv[1:])"
        command = [sys.executable, "-c", program, *overrides, f"hydra.run.dir={directory}/run"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TRAIN.parent), str(Path(__file__).parent)])}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if not report.exists():
            sys.exit(ended.stderr)
        seconds: dict[str, float] = json.loads(report.read_text())
    return seconds


def instrumented(report: str, started: float, overrides: list[str]) -> None:
    """Run train.py until its first chunk of steps is done, and write the seconds of its stages to a file."""
    seconds: dict[str, float] = {}
    for (module_name, function), stage in STAGES.items():
        module = importlib.import_module(module_name)
        setattr(module, function, _timed(getattr(module, function), stage, seconds))

    def stop_after_first_chunk() -> None:
        began = time.time()
        import keras

        from vae import training

        fit, _ = training.fit, training.recording_callbacks  # names that are imported on first use
        seconds["importing TensorFlow Datasets, TensorBoard and the project"] = time.time() - began

        class Stop(keras.callbacks.Callback):
            def on_train_begin(self, logs: Any = None) -> None:
                self.began = time.time()

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                now = time.time()
                seconds["compiling and running the first chunk of steps"] = now - self.began
                rest = now - started - sum(seconds.values())
                stages = {"Python, Hydra, settings and the rest": rest, **seconds, "total": now - started}
                Path(report).write_text(json.dumps(stages))
                os._exit(0)

        def fit_until_stop(model: Any, data: Any, callbacks: Any, options: Any, **further: Any) -> None:
            fit(model, data, [Stop()], options, **further)

        training.fit = fit_until_stop

    import vae.compat

    load = vae.compat.load_tensorflow

    def load_and_stop_later(threads: int | None = None) -> None:
        load(threads)
        stop_after_first_chunk()

    vae.compat.load_tensorflow = load_and_stop_later
    sys.argv = [str(TRAIN), *overrides]
    runpy.run_path(str(TRAIN), run_name="__main__")


def _timed(function: Callable[..., Any], stage: str, seconds: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*positional: Any, **options: Any) -> Any:
        began = time.time()
        try:
            return function(*positional, **options)
        finally:
            seconds[stage] = time.time() - began

    return timed


if __name__ == "__main__":
    main()
