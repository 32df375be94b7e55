"""Names and meanings of the quantities that a run records.

A quantity is named in Keras's logs, in `history.csv` and in TensorBoard. `QuantityName` translates between the three:

| logs                | history.csv         | TensorBoard                            |
| ------------------- | ------------------- | -------------------------------------- |
| `elbo`              | `train/elbo`        | `canonical/elbo` of the run train      |
| `val_elbo`          | `validation/elbo`   | `canonical/elbo` of the run validation |
| `audit/gap/trained` | `audit/gap/trained` | `regularizer_audit/gap/trained`        |
| `audit/active/3`    | `audit/active/3`    | `units/active/3`                       |

`QUANTITIES` describes each of them. To add a metric, compute it in the model, which logs it, and describe it here. It
is then in `history.csv`, in TensorBoard and, if it has a `comparison_column`, in the comparison of runs. A metric that
is not described here, such as one of the user's, is still logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

TRAIN, VALIDATION, AUDIT = SPLITS = ("train", "validation", "audit")
#: In the audit, the name of the regularizer that the run is trained with
TRAINED = "trained"
_LOG_PREFIXES = {VALIDATION: "val_", AUDIT: "audit/", TRAIN: ""}  # the empty one last: it begins every name


@dataclass(frozen=True)
class Quantity:
    """A quantity that a run records.

    Args:
        name: its name in files.
        title: its heading in tables.
        meaning: what it is, as a phrase.
        group: group of its tags in TensorBoard; by default `regularizer_audit` for the audit and `optimization` else.
        in_nats: True if its unit is nats.
        better: "higher" or "lower"; None if neither is better.
        note: what a table that shows it without its meaning says beside the title; by default which is better.
        form: format specification for tables.
        comparison_column: column of `load_runs` with the value that a comparison shows; None if it shows none.
        priority: order in which a narrow terminal leaves columns out, the lowest first; None if it never does.
        in_outcome: True if the table at the end of a run shows it.
        chart: True if TensorBoard's custom scalars have a chart of it.
    """

    name: str
    title: str
    meaning: str
    group: str | None = None
    in_nats: bool = False
    better: Literal["higher", "lower"] | None = None
    note: str = ""
    form: str = ".2f"
    comparison_column: str | None = None
    priority: int | None = 0
    in_outcome: bool = False
    chart: bool = False

    @property
    def label(self) -> str:
        """The title with its note, for tables that do not show the meaning."""
        note = self.note or (f"{self.better} is better" if self.better else "")
        return f"{self.title}, {note}" if note else self.title

    @property
    def is_criterion(self) -> bool:
        """True if it measures in nats how good a model is, so that a comparison shows its uncertainty."""
        return self.in_nats and self.better is not None

    @property
    def definition(self) -> str:
        """The meaning with unit and direction."""
        unit = ", in nats per image" if self.in_nats else ""
        return f"{self.meaning}{unit}{f'; {self.better} is better' if self.better else ''}"


#: Every quantity that the project records, in the order of a comparison's columns
QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "elbo",
            "ELBO",
            "-(reconstruction + KL), canonical",
            group="canonical",
            in_nats=True,
            better="higher",
            comparison_column="validation/elbo",
            priority=None,
            in_outcome=True,
            chart=True,
        ),
        Quantity(
            "reconstruction",
            "reconstruction",
            "-log p(x|z)",
            group="canonical",
            in_nats=True,
            note="-log p(x|z)",
            comparison_column="validation/reconstruction",
            priority=6,
            in_outcome=True,
            chart=True,
        ),
        Quantity(
            "kl",
            "KL",
            "D[q(z|x)||p(z)], exact whatever was trained",
            group="canonical",
            in_nats=True,
            note="D[q||p]",
            comparison_column="validation/kl",
            priority=7,
            in_outcome=True,
            chart=True,
        ),
        Quantity(
            "loss",
            "loss",
            "the minimized sum of reconstruction (of relaxed draws, if z is relaxed) and weighted regularizer",
            in_nats=True,
        ),
        Quantity(
            "regularizer",
            "regularizer",
            "the trained regularizer, before beta",
            in_nats=True,
            note="as trained",
            in_outcome=True,
        ),
        Quantity("beta", "beta", "the weight of the regularizer", form=".3g"),
        Quantity(
            "active_units",
            "active units",
            "latent variables whose posterior mean varies over images",
            group="units",
            form=".1f",
            comparison_column="audit/active_units",
            priority=2,
        ),
        Quantity(
            "effective_beta",
            "effective beta",
            "the weight that training gave the canonical KL; none if the trained term is not a multiple of it",
            form=".3g",
            comparison_column="effective_beta",
            priority=None,
        ),
        Quantity("learning_rate", "learning rate", "the optimizer's learning rate", form=".3g"),
        Quantity("temperature", "temperature", "the temperature of the relaxed latent variables", form=".3g"),
        Quantity("value", "value", "the regularizer, before beta", in_nats=True),
        Quantity("gap", "gap", "value minus the KL", in_nats=True, chart=True),
        Quantity(
            "gradient_cosine",
            "cosine",
            "cosine of the regularizer's gradient, for one draw, and the KL's",
            chart=True,
        ),
        Quantity(
            "gradient_length_ratio",
            "gradient length ratio",
            "length of the regularizer's gradient, for one draw, divided by the KL's",
            chart=True,
        ),
        Quantity(
            "dead_gradient_share",
            "dead gradient share",
            "share of gradient entries that are zero and should not be",
            chart=True,
        ),
        Quantity(
            "clipped_share",
            "clipped share",
            "share of the Keras function's arguments that it clips",
            chart=True,
        ),
        Quantity(
            "local_weight",
            "local weight",
            "the weight of the KL in the gradient of the trained term, with beta and the objective",
            form=".3g",
            comparison_column="audit/local_weight",
            priority=3,
            chart=True,
        ),
        Quantity(
            "residual_share",
            "other directions",
            "share of the trained term's squared gradient that is orthogonal to the KL's",
            comparison_column="audit/residual_share",
            priority=4,
            chart=True,
        ),
        Quantity("local_weight_error", "error of local weight", "the standard error of the local weight", form=".2g"),
        Quantity("residual_share_error", "error of other directions", "the standard error of that share", form=".2g"),
        Quantity(
            "reference",
            "KL, estimated",
            "the estimate of the KL under a learned prior that implementations are compared with",
            in_nats=True,
        ),
        Quantity("reference_error", "standard error", "the standard error of that estimate", in_nats=True),
        Quantity(
            "gradient_ratio",
            "gradient ratio",
            "length of the weighted regularizer's gradient, divided by the reconstruction's",
        ),
        Quantity("kl_per_latent", "KL per latent variable", "KL of a latent variable", group="units", in_nats=True),
        Quantity("active", "active", "1 if the posterior mean of a latent variable varies over images", group="units"),
        Quantity(
            "nll",
            "NLL",
            "-log p(x) by importance sampling, if evaluate.py was run; nll_kind in evaluation.json tells what p is",
            in_nats=True,
            better="lower",
            comparison_column="evaluation/nll",
            priority=None,
        ),
        Quantity(
            "amortization_gap",
            "amortization gap",
            "what the best posterior of each image adds to the ELBO, if evaluate.py was run with gap_images",
            in_nats=True,
            comparison_column="evaluation/amortization_gap",
            priority=5,
        ),
        Quantity(
            "approximation_gap",
            "approximation gap",
            "log p(x) minus the ELBO of the best posterior of each image, if evaluate.py was run with gap_images",
            in_nats=True,
            comparison_column="evaluation/approximation_gap",
            priority=5,
        ),
        Quantity(
            "steps_per_second",
            "steps/s",
            "training steps per second",
            better="higher",
            form=".0f",
            comparison_column="steps_per_second",
            priority=1,
        ),
    )
}


class QuantityName(NamedTuple):
    """The name of a recorded quantity.

    Attributes:
        split: "train", "validation" or "audit".
        quantity: a key of `QUANTITIES`, or the name of a metric of the user's.
        part: the implementation or latent variable that an audited quantity is of; else empty.
    """

    split: str
    quantity: str
    part: str = ""

    @classmethod
    def from_log(cls, name: str) -> Self:
        """Return the name of an entry of Keras's logs, such as `val_elbo`."""
        split = next(split for split, prefix in _LOG_PREFIXES.items() if name.startswith(prefix))
        return cls(split, *cls._parts(name.removeprefix(_LOG_PREFIXES[split])))

    @classmethod
    def from_column(cls, column: str) -> Self | None:
        """Return the name of a column of `history.csv`; None for a column, such as `epoch`, that is no quantity's."""
        split, slash, name = column.partition("/")
        return cls(split, *cls._parts(name)) if slash and split in SPLITS else None

    @classmethod
    def of_latent(cls, quantity: str, number: int, count: int) -> Self:
        """Return the name of an audited quantity of one of `count` latent variables.

        The numbers have leading zeros, so that TensorBoard sorts them.
        """
        return cls(AUDIT, quantity, f"{number:0{len(str(count - 1))}}")

    @staticmethod
    def _parts(name: str) -> tuple[str, str]:
        quantity, _, part = name.partition("/")
        return quantity, part

    @property
    def log(self) -> str:
        """The name in Keras's logs."""
        return f"{_LOG_PREFIXES[self.split]}{self.within_split}"

    @property
    def column(self) -> str:
        """The column of `history.csv`."""
        return f"{self.split}/{self.within_split}"

    @property
    def within_split(self) -> str:
        """The key in its split's part of `summary.json`."""
        return f"{self.quantity}/{self.part}" if self.part else self.quantity

    @property
    def tag(self) -> str:
        """The tag in TensorBoard, which shows the words before the first slash as groups."""
        group = QUANTITIES[self.quantity].group if self.quantity in QUANTITIES else None
        return f"{group or ('regularizer_audit' if self.split == AUDIT else 'optimization')}/{self.within_split}"

    @property
    def run(self) -> str:
        """The run in TensorBoard, "train" or "validation". The audit belongs to "validation"."""
        return TRAIN if self.split == TRAIN else VALIDATION


def by_split(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return a row of the history as `{"train": {"elbo": ...}, "validation": {...}, "audit": {...}}`.

    Columns that are no quantities are left out.
    """
    splits: dict[str, dict[str, float]] = {split: {} for split in SPLITS}
    for column, value in values.items():
        if name := QuantityName.from_column(column):
            splits[name.split][name.within_split] = value
    return splits


def history_columns(logs: Mapping[str, float]) -> dict[str, float]:
    """Return Keras's logs of an epoch under the names of the history's columns.

    The splits are in order, and those of implementations and latent variables come last: a reader of the others then
    reads a fifth of each row.
    """
    names = sorted(map(QuantityName.from_log, logs), key=lambda name: (SPLITS.index(name.split), name.part != ""))
    return {name.column: logs[name.log] for name in names}


def comparison_columns() -> dict[str, str]:
    """Return the quantities that a comparison of runs shows, each with the column of `load_runs` that has it."""
    return {name: quantity.comparison_column for name, quantity in QUANTITIES.items() if quantity.comparison_column}
