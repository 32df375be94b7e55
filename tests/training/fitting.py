"""A training of a tiny model with everything that a run records."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vae import VAE, training
from vae.data import DataSource
from vae.training import Description, Progress, TrainingOptions


class Arrays(DataSource):
    """Images that are in memory already."""

    def __init__(self, train: Any, validation: Any, weights: Any = None) -> None:
        super().__init__("dynamic")
        self.splits = {"train": train, "validation": validation, "test": validation}
        self.given_weights = weights

    def read_split(self, split: str) -> Any:
        return self.splits[split]

    @property
    def weights(self) -> Any:
        return self.given_weights


def grey_images(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


def fit_and_record(
    vae: VAE,
    directory: Path,
    data: DataSource,
    *,
    epochs: int = 20,
    start: Progress | None = None,
    callbacks: Any = (),
    audit: Any = (),
    **options: Any,
) -> training.RunRecord:
    """Train on batches of twenty images as train.py does, and return the run's record. Every chunk has a checkpoint."""
    directory.mkdir(exist_ok=True)
    chosen = TrainingOptions(epochs=epochs, batch_size=20, **{"checkpoint_seconds": 1e-9, **options})
    with training.RunRecord(directory, seed=0, kl="analytic") as record:
        scale = vae.regularizer_scale(20)
        recording = training.recording_callbacks(vae, data, record, chosen, dict(audit), scale, Description({}, ""))
        with training.Checkpoints(record, callbacks, chosen, data.size("train"), start or Progress()) as saver:
            training.fit(vae, data, [*recording, *callbacks, saver], chosen, start=start)
    return record
