"""Count the false alarms and the misses of the diagnosis: the table of docs/how-to/read-the-audit.md.

    python benchmarks/diagnosis.py [--runs NAME ...] [--jobs N] [--json FILE] [--dir DIR]

Trains short runs on digits, each labelled with the rules that must fire: none for a healthy run. A few labels also name
rules that may fire, and do not count there. The thresholds were chosen on the runs called "tuning"; the runs called
"held out" have other seeds, sizes, families and options. A run is trained and recorded as `train.py` does it, without
TensorBoard, pictures and checkpoints. With --dir the runs are kept, and a benchmark that is started again trains only
what is missing.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarked_runs import HELD_OUT, TUNING, Label
from joblib import Parallel, cpu_count, delayed
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vae import cli
from vae.compat import load_tensorflow
from vae.config.stored import plain
from vae.diagnosis import RULES, diagnose
from vae.runs.identity import flatten
from vae.runs.paths import RunDirectory
from vae.runs.summary import is_finished, read_summary


@dataclass(frozen=True)
class Result:
    """The diagnosis of a run.

    Args:
        name: the name of the run.
        label: its options and the rules that must or may fire.
        found: the rules that fired.
        kl: its canonical KL on the validation split, in nats.
    """

    name: str
    label: Label
    found: frozenset[str]
    kl: float

    @property
    def missed(self) -> frozenset[str]:
        """The rules that should have fired."""
        return self.label.must - self.found

    @property
    def false(self) -> frozenset[str]:
        """The rules that should not have fired."""
        return self.found - self.label.must - self.label.may


def train(config: DictConfig, directory: Path) -> None:
    """Train a run and write its summary."""
    import keras

    from vae import training
    from vae.config import build
    from vae.kl import Analytic
    from vae.training.progress_bar import ProgressBar
    from vae.training.tensorboard import TensorBoardLog

    keras.backend.clear_session()
    keras.utils.set_random_seed(config.seed)
    options, data = build.build_options(config), build.build_data(config)
    model = build.build_model(config, data)
    with training.RunRecord(directory, seed=config.seed, kl=str(config.kl._target_)) as record:
        scale = model.regularizer_scale(options.batch_size)
        audit = {"analytic": Analytic()}  # with it the audit is on; the diagnosis looks at the trained regularizer only
        recording = training.recording_callbacks(
            model, data, record, options, audit, scale, training.Description({}, "")
        )
        measuring = [callback for callback in recording if not isinstance(callback, TensorBoardLog | ProgressBar)]
        training.fit(model, data, measuring, options)


def diagnosed(name: str, label: Label, folder: Path) -> Result:
    """Return the diagnosis of a run, which is trained if it is missing."""
    load_tensorflow(threads=1)
    directory = RunDirectory(folder / name.replace(" ", "-").replace(",", ""))
    config = cli.compose("train", "trainer.engine=keras", *label.options)
    if not is_finished(directory.path):
        shutil.rmtree(directory.path, ignore_errors=True)
        directory.path.mkdir(parents=True)
        train(config, directory.path)
    summary = read_summary(directory)
    found = frozenset(finding.rule for finding in diagnose(summary, flatten(plain(config))))
    return Result(name, label, found, summary["validation"]["kl"])


def counts(results: Iterable[Result]) -> dict[str, dict[str, int]]:
    """Return for each rule the numbers of true positives, false positives, false negatives and true negatives."""
    results = list(results)
    return {
        rule: {
            "true_positives": sum(rule in result.found & result.label.must for result in results),
            "false_positives": sum(rule in result.false for result in results),
            "false_negatives": sum(rule in result.missed for result in results),
            "true_negatives": sum(
                rule not in result.found | result.label.must | result.label.may for result in results
            ),
        }
        for rule in RULES
    }


def figures_of(results: list[Result]) -> dict[str, Any]:
    """Return what a part of the runs shows: numbers of runs, found faults, healthy runs with an alarm, and counts."""
    healthy = [result for result in results if not result.label.must]
    planted = [result for result in results if result.label.must]
    return {
        "runs": len(results),
        "healthy": len(healthy),
        "healthy_with_alarm": sum(bool(result.false) for result in healthy),
        "planted": len(planted),
        "planted_found": sum(not result.missed for result in planted),
        "planted_without_finding": sum(not result.found - result.false for result in planted),
        "planted_with_false_alarm": sum(bool(result.false) for result in planted),
        "rules": counts(results),
    }


def table_of(figures: Mapping[str, Any], title: str) -> Table:
    """Return the confusion matrix of each rule."""
    found = f"{figures['planted_found']} of {figures['planted']} planted faults found"
    found += f" ({figures['planted_without_finding']} with no right finding)"
    alarms = f"{figures['healthy_with_alarm']} of {figures['healthy']} healthy runs with an alarm"
    table = Table("rule", title=f"{title}: {found}, {alarms}", title_justify="left")
    for heading in ("found", "false alarm", "missed", "rightly silent"):
        table.add_column(heading, justify="right")
    for rule, numbers in figures["rules"].items():
        table.add_row(rule, *map(str, numbers.values()))
    return table


def main() -> None:
    """Train what is missing, print the tables and write the figures if `--json` is given."""
    runs = {**TUNING, **HELD_OUT}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", choices=runs, default=list(runs), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=cpu_count(), help="processes, which train one run after another")
    parser.add_argument("--dir", type=Path, help="the folder of the runs; by default they are not kept")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    console = Console()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.dir or Path(temporary)
        shares = Parallel(n_jobs=arguments.jobs, batch_size=1, return_as="generator")(
            delayed(diagnosed)(name, runs[name], folder) for name in arguments.runs
        )
        is_hidden = not console.is_terminal
        results = list(track(shares, "training", len(arguments.runs), console=console, disable=is_hidden))
    parts = {
        "tuning": [result for result in results if result.name in TUNING],
        "held out": [result for result in results if result.name in HELD_OUT],
        "all": results,
    }
    figures = {part: figures_of(members) for part, members in parts.items()}
    for part, numbers in figures.items():
        console.print(table_of(numbers, f"{part}, {numbers['runs']} runs"))
    wrong = [result for result in results if result.missed or result.false]
    for result in wrong:
        console.print(
            f"wrong: {result.name} ({' '.join(result.label.options)}, KL {result.kl:.3g} nats): "
            f"missed {sorted(result.missed)}, false {sorted(result.false)}"
        )
    if arguments.json:
        runs_found = {result.name: sorted(result.found) for result in results}
        arguments.json.write_text(json.dumps({"figures": figures, "found": runs_found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
