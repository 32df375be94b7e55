"""The options of a training, in one object. Needs no TensorFlow."""

import math
from dataclasses import dataclass
from typing import Literal, get_type_hints

from vae.options import PositiveFloat, PositiveInt, Threads, check_option


@dataclass(frozen=True)
class TrainingOptions:
    """The length of a training, the size of its batches, and the way it is computed: the group `trainer`.

    Args:
        epochs: number of epochs in all, those before a resume included.
        batch_size: images in a training step.
        engine: "compiled" runs many steps as one XLA program, "keras" up to ten steps a call; "auto" takes the faster
            one for the model.
        chunk: largest number of steps in one call; callbacks and signals are heard between calls.
        precision: precision of the networks' hidden layers; KL, likelihood and metrics stay in float32.
        strategy: "mirrored" trains on all GPUs of this machine, "multi_worker" on several machines (TF_CONFIG, Slurm).
        checkpoint_seconds: seconds of training between two checkpoints, at least; one more follows the first and the
            last epoch, a signal and a NaN.
        audit_interval: epochs between two audits. The first and the last epoch are always audited.
        threads: CPU threads; null for all of them, or for a run's share if a launcher runs several at a time.

    Raises:
        UserError: if a value is not of its type.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    engine: Literal["auto", "compiled", "keras"] = "auto"
    chunk: PositiveInt = 200
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    strategy: Literal["single", "mirrored", "multi_worker"] = "single"
    checkpoint_seconds: PositiveFloat = 5.0
    audit_interval: PositiveInt = 1
    threads: Threads | None = None

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(type(self), include_extras=True).items():
            check_option(name, kind, getattr(self, name))

    def steps_per_epoch(self, images: int) -> int:
        """Return the number of training steps in an epoch over so many images."""
        return math.ceil(images / min(self.batch_size, images))
