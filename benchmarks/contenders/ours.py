"""The `fit` of this project, with all files of a run: audit, TensorBoard, checkpoints, history."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contenders import HandIn, Task
from contenders.keras_model import EPOCHS, HandingIn, new_model
from vae import training
from vae.kl import Analytic, Backend, KerasLoss


def fit(task: Task, hand_in: HandIn, engine: str) -> None:
    """Train with this project's `fit`.

    The time of a step is the one that the run records, without validation. The time of the epoch includes everything.
    """
    source: Any = SimpleNamespace(
        train=task.training_images(),
        validation=task.validation_images(),
        weights=None,
        labels=lambda split, count: None,
    )
    directory = Path(tempfile.mkdtemp(dir=task.directory))
    with training.RunRecord(directory, seed=0, kl="analytic") as record:
        training.fit(
            new_model(task.model),
            source,
            record,
            epochs=EPOCHS,
            batch_size=task.batch,
            binarization="dynamic",
            engine=engine,
            audit={"analytic": Analytic(), "backend": Backend(), "keras_loss": KerasLoss()},
            callbacks=[HandingIn(task, hand_in)],
            options={},
            configuration="",
        )
