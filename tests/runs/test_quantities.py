"""Names of quantities in logs, in history.csv and in TensorBoard, and the table of their meanings."""

import csv

import pytest

from tests.runs.test_loading import NAMES, OLD_RUNS
from vae.compare.columns import COLUMNS
from vae.runs.quantities import QUANTITIES, SPLITS, TRAINED, QuantityName, by_split, history_columns

#: Log, column of the history, run and tag in TensorBoard: what version 0.1.0 wrote
WRITTEN = [
    ("elbo", "train/elbo", "train", "canonical/elbo"),
    ("val_kl", "validation/kl", "validation", "canonical/kl"),
    ("loss", "train/loss", "train", "optimization/loss"),
    ("val_regularizer", "validation/regularizer", "validation", "optimization/regularizer"),
    ("learning_rate", "train/learning_rate", "train", "optimization/learning_rate"),
    ("my_metric", "train/my_metric", "train", "optimization/my_metric"),
    ("val_my/metric", "validation/my/metric", "validation", "optimization/my/metric"),
    ("audit/gap/trained", "audit/gap/trained", "validation", "regularizer_audit/gap/trained"),
    ("audit/clipped_share/raw", "audit/clipped_share/raw", "validation", "regularizer_audit/clipped_share/raw"),
    ("audit/gradient_ratio", "audit/gradient_ratio", "validation", "regularizer_audit/gradient_ratio"),
    ("audit/active_units", "audit/active_units", "validation", "units/active_units"),
    ("audit/kl_per_latent/07", "audit/kl_per_latent/07", "validation", "units/kl_per_latent/07"),
    ("audit/active/07", "audit/active/07", "validation", "units/active/07"),
]


@pytest.mark.parametrize(("log", "column", "run", "tag"), WRITTEN)
def test_a_name_in_all_its_forms(log: str, column: str, run: str, tag: str) -> None:
    name = QuantityName.from_log(log)
    assert (name.log, name.column, name.run, name.tag) == (log, column, run, tag)
    assert QuantityName.from_column(column) == name


@pytest.mark.parametrize("column", ["epoch", "step", "seconds", "other/elbo"])
def test_other_columns_are_not_quantities(column: str) -> None:
    assert QuantityName.from_column(column) is None


def test_numbers_of_latent_variables_sort() -> None:
    assert QuantityName.of_latent("active", 7, 16).log == "audit/active/07"
    assert QuantityName.of_latent("active", 7, 10).log == "audit/active/7"


def test_logs_become_a_row_whose_splits_are_in_order_and_whose_parts_come_last() -> None:
    row = history_columns({"val_elbo": -2.0, "audit/gap/raw": 3.0, "elbo": -1.0, "audit/local_weight": 0.5})
    assert list(row) == ["train/elbo", "validation/elbo", "audit/local_weight", "audit/gap/raw"]
    assert [*row.values()] == [-1.0, -2.0, 0.5, 3.0]
    assert by_split({"epoch": 1, **row}) == {
        "train": {"elbo": -1.0},
        "validation": {"elbo": -2.0},
        "audit": {"local_weight": 0.5, "gap/raw": 3.0},
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_quantity_of_a_run_is_described(name: str) -> None:
    with (OLD_RUNS / name / "history.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    names = [found for column in columns if (found := QuantityName.from_column(column))]
    assert len(names) == len(columns) - len(("epoch", "step", "seconds"))
    assert {found.quantity for found in names} <= set(QUANTITIES)
    assert {found.split for found in names} == set(SPLITS)
    assert TRAINED in {found.part for found in names}


def test_the_comparison_shows_the_described_quantities() -> None:
    shown = {name for name, quantity in QUANTITIES.items() if quantity.comparison_column}
    times = {f"{unit}_to_elbo{suffix}" for unit in ("epochs", "steps", "seconds") for suffix in ("", "_mean")}
    others = {
        "configuration",
        "finished",
        "frontier_gap",
        "best_elbo",
        "best_epoch",
        "rise",
        "reached",
        *times,
        "status",
    }
    assert shown == set(COLUMNS) - others
    assert COLUMNS["elbo"].meaning == "-(reconstruction + KL), canonical, in nats per image; higher is better"
    assert [QUANTITIES[name].label for name in ("elbo", "reconstruction", "kl", "regularizer")] == [
        "ELBO, higher is better",
        "reconstruction, -log p(x|z)",
        "KL, D[q||p]",
        "regularizer, as trained",
    ]


def test_a_criterion_is_in_nats_and_has_a_direction() -> None:
    assert {name for name, quantity in QUANTITIES.items() if quantity.is_criterion} == {"elbo", "nll"}
