"""What a composed configuration may hold: types and ranges, checked before TensorFlow is loaded.

A group that names a class (`_target_`) may hold more than stands here: what it passes to a class of the user's is the
class's own affair.
"""

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from vae.errors import UserError

Units = Annotated[list[PositiveInt], Field(min_length=1)]
Settings = TypeVar("Settings", bound=BaseModel)
Unit = Literal["epochs", "steps"]
Metric = Literal["elbo", "reconstruction", "kl", "loss", "regularizer"]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class _Closed(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class _Open(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Trainer(_Closed):
    """How long and in what portions."""

    epochs: PositiveInt
    batch_size: PositiveInt
    engine: Literal["auto", "compiled", "keras"]
    chunk: PositiveInt
    precision: Literal["float32", "bfloat16", "float16"]
    strategy: Literal["single", "mirrored", "multi_worker"]
    threads: PositiveInt | None


class Data(_Closed):
    """Which images, and how they become the model's input."""

    target: str = Field(alias="_target_")
    name: str
    dir: str | None
    manual_dir: str | None
    shape: Annotated[list[PositiveInt], Field(min_length=3, max_length=3)] | None
    invert: bool
    validation_size: PositiveInt | None
    take: PositiveInt | None
    memory_limit: NonNegativeFloat
    unpacked_dir: str | None
    weights: str | None
    binarization: Literal["none", "threshold", "dynamic"]


class KL(_Open):
    """The options that the project's own regularizers share."""

    direction: Literal["forward", "reverse", "symmetric"] = "forward"
    support: Literal["quadrature", "histogram"] = "quadrature"
    points: Annotated[int, Field(ge=2)] | None = None
    reduction: Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"] = "none"
    calibrate: bool = False
    samples: PositiveInt = 1
    form: Literal["parameters", "softmax", "log_var"] = "parameters"
    alpha: PositiveFloat = 0.5
    dataset_size: PositiveInt | None = None
    bandwidth: PositiveFloat | None = None

    @field_validator("alpha")
    @classmethod
    def _no_one(cls, alpha: float) -> float:
        if alpha == 1.0:
            raise ValueError("must not be 1, where it is kl=analytic")
        return alpha


class Model(_Open):
    """Encoder and decoder."""

    hidden: Units | PositiveInt
    filters: Units = [32]
    activation: str


class Latent(_Open):
    """The latent variables."""

    size: PositiveInt
    classes: Annotated[int, Field(ge=2)] = 2
    temperature: PositiveFloat = 1.0
    final_temperature: PositiveFloat | None = None
    annealing: PositiveFloat = 1.0
    unit: Unit = "epochs"
    straight_through: bool = False


class Prior(_Open):
    """p(z)."""

    components: PositiveInt = 1


class Objective(_Open):
    """What stands around the regularizer."""

    free_bits: NonNegativeFloat
    group_size: PositiveInt
    capacity: NonNegativeFloat | None
    ramp: PositiveFloat
    unit: Unit


class Likelihood(_Open):
    """p(x|z)."""

    scale: Literal["learned"] | PositiveFloat = "learned"


class Beta(_Open):
    """The weight of the regularizer, and how it comes to it."""

    value: NonNegativeFloat
    start: NonNegativeFloat = 0.0
    length: PositiveFloat = 1.0
    rising: Annotated[float, Field(gt=0, le=1)] = 1.0
    unit: Unit = "epochs"


class Optimizer(_Open):
    """The optimizer."""

    learning_rate: PositiveFloat


class TrainSettings(_Closed):
    """All that `train.py` reads."""

    seed: Seed
    resume: str | None
    metric: Metric | Annotated[list[Metric], Field(min_length=1)]
    data: Data
    model: Model
    latent: Latent
    prior: Prior
    likelihood: Likelihood
    kl: KL
    beta: Beta
    objective: Objective
    optimizer: Optimizer
    trainer: Trainer
    audit: dict[str, KL]
    callbacks: dict[str, dict[str, Any]]


class EvaluateSettings(_Closed):
    """All that `evaluate.py` reads."""

    run: str
    split: Literal["train", "validation", "test"]
    seed: Seed | None
    batch_size: PositiveInt
    nll_samples: PositiveInt
    take: PositiveInt | None


def validate(schema: type[Settings], values: Mapping[str, Any]) -> Settings:
    """The values as an object of the schema.

    Raises:
        UserError: naming the first option that is wrong, and what would be right.
    """
    try:
        settings = schema.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if str(part) in _names(values))
        if first["type"] == "extra_forbidden":
            raise UserError(f"{name}: there is no such option") from None
        expected = first["msg"].removeprefix("Input ")
        alternatives = {
            item["msg"].removeprefix("Input ") for item in error.errors() if item["loc"][:2] == first["loc"][:2]
        }
        if len(alternatives) > 1:
            expected = " or ".join(sorted(alternatives))
        raise UserError(f"{name}={first['input']}: {expected}") from None
    for option, target in _targets(values):
        package = target.split(".")[0]
        if "." not in target or importlib.util.find_spec(package) is None:
            raise UserError(f"{option}={target}: must be package.Class of a package that Python finds from here")
    return settings


def _names(values: Any) -> set[str]:
    """Every key anywhere in nested values: what part of an error's location is an option's name."""
    if isinstance(values, Mapping):
        return {str(key) for key in values}.union(*(_names(value) for value in values.values()), [])
    return set()


def _targets(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key == "_target_":
            yield f"{prefix}{key}", str(value)
        elif isinstance(value, Mapping):
            yield from _targets(value, f"{prefix}{key}.")
