"""The groups of a configuration: the base class of each group's options, and the options that are not a class's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from vae.config.signatures import REQUIRED, Option, options_of
from vae.options import NonNegativeFloat, PositiveFloat, PositiveInt, Seed

#: What a message says of a group that was given something else
ONE_OPTION = "a group takes one of its options, by name; --help lists them"
Quantity = Literal["elbo", "reconstruction", "kl", "loss", "regularizer"]


@dataclass(frozen=True)
class Group:
    """A group of the configuration, such as `kl`.

    Args:
        base: the class that every option of the group derives from.
        own: options of the group itself by name; a group that has some may go without a class.
        kinds: types of arguments of Keras's classes, which do not annotate them, by name.
        shown: options of Keras's classes that a configuration shows.
        many: True if the group holds any number of named objects, as `callbacks` does.
        target: the class of a group that always builds the same one.
    """

    base: str
    own: Mapping[str, Option] = field(default_factory=dict)
    kinds: Mapping[str, Any] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    many: bool = False
    target: str | None = None

    def options(self, target: str | None) -> dict[str, Option]:
        """Return the options of the group by name if it builds a class, or none."""
        options = options_of(target) if target else {}
        if (target or "").startswith("keras."):
            options = {name: _typed_by_default(option) for name, option in options.items()}
            options |= {name: replace(options[name], kind=kind) for name, kind in self.kinds.items() if name in options}
        return {**options, **self.own}

    def shown_options(self, target: str | None) -> dict[str, Option]:
        """Return the options that a configuration shows: of Keras's own classes, only a few."""
        options = self.options(target)
        if not (target or "").startswith("keras."):
            return options
        return {name: option for name, option in options.items() if name in (*self.own, *self.shown)}

    def defaults(self, target: str | None) -> dict[str, Any]:
        """Return the default of every option that a configuration shows; `???` if there is none."""
        options = self.shown_options(target)
        return {name: "???" if option.default is REQUIRED else option.default for name, option in options.items()}


def _typed_by_default(option: Option) -> Option:
    """Return an option without an annotation as one of its default's type, if that is a number, true or false."""
    kinds = {bool: bool, int: float, float: float}
    return replace(option, kind=kinds.get(type(option.default), Any)) if option.kind is Any else option


_DECAY = Annotated[float, Ge(0), Lt(1)]
_OF_OPTIMIZERS = {
    "learning_rate": PositiveFloat,
    **dict.fromkeys(("beta_1", "beta_2", "rho", "momentum", "ema_momentum"), _DECAY),
    **dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm", "epsilon"), PositiveFloat | None),
    "weight_decay": NonNegativeFloat | None,
}
_OF_CALLBACKS = {
    "monitor": str,
    "mode": Literal["auto", "min", "max"],
    "patience": Annotated[int, Ge(0)],
    "baseline": float | None,
}
_BETA = Option("value", NonNegativeFloat, 1.0, "weight of the regularizer; a schedule multiplies it")

GROUPS = {
    "data": Group("vae.data.DataSource"),
    "model": Group("vae.networks.Networks"),
    "latent": Group("vae.latents.LatentFamily"),
    "prior": Group("vae.latents.Prior"),
    "likelihood": Group("vae.likelihoods.Likelihood"),
    "kl": Group("vae.kl.KLRegularizer"),
    "beta": Group("keras.optimizers.schedules.LearningRateSchedule", own={"value": _BETA}),
    "objective": Group("vae.objectives.Objective"),
    "optimizer": Group("keras.optimizers.Optimizer", kinds=_OF_OPTIMIZERS, shown=("learning_rate",)),
    "trainer": Group("vae.training.options.TrainingOptions", target="vae.training.options.TrainingOptions"),
    "audit": Group("vae.kl.KLRegularizer", many=True),
    "callbacks": Group("keras.callbacks.Callback", kinds=_OF_CALLBACKS, many=True),
}

_TRUST = Option("trust", str | list[str] | None, None, "modules whose classes may be loaded from a run's own folder")
TRAIN = {
    option.name: option
    for option in (
        Option("seed", Seed, 0, "seed of initialization, order, binarization and noise"),
        Option("resume", str | None, None, "a run directory: go on where that run stopped"),
        Option("metric", Quantity | list[Quantity], "elbo", "validation quantity, or several, that a search optimizes"),
        _TRUST,
    )
}
EVALUATE = {
    option.name: option
    for option in (
        Option("run", str, REQUIRED, "the directory of a finished or interrupted run"),
        Option("split", Literal["train", "validation", "test"], "test", "the split to measure"),
        Option("seed", Seed | None, None, "seed of binarization and all noise; null for the run's own"),
        Option("batch_size", PositiveInt, 400, "images at a time"),
        Option("nll_samples", PositiveInt, 500, "importance samples an image; papers print 5000"),
        Option("gap_images", PositiveInt | None, None, "images to measure the inference gap on, the first ones"),
        Option("gap_steps", PositiveInt, 300, "steps of the optimization of each image's posterior"),
        Option("take", PositiveInt | None, None, "largest number of images to measure; null for all"),
        _TRUST,
    )
}
#: The paths of a run's data that evaluate.py may replace, such as those of a data set that has moved
DATA_OF_EVALUATE = ("dir", "manual_dir", "unpacked_dir")
