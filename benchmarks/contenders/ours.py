"""The `fit` of this project with everything that a run records: audit, TensorBoard, checkpoints, history."""

import tempfile
from pathlib import Path
from typing import Any, Literal

from contenders import HandIn, Task
from contenders.keras_model import EPOCHS, HandingIn, new_model
from vae import training
from vae.data import DataSource
from vae.kl import Analytic, Backend, KerasLoss


class TaskImages(DataSource):
    """The images of a task."""

    def __init__(self, task: Task) -> None:
        super().__init__("dynamic")
        self._task = task

    def read_split(self, split: str) -> Any:
        """Return the images of a split."""
        return self._task.training_images() if split == "train" else self._task.validation_images()


def fit(task: Task, hand_in: HandIn, engine: Literal["compiled", "keras"]) -> None:
    """Train. The time of a step is the run's own, without validation; the time of an epoch includes everything."""
    model, data = new_model(task.model), TaskImages(task)
    options = training.TrainingOptions(epochs=EPOCHS, batch_size=task.batch, engine=engine)
    audit = {"analytic": Analytic(), "backend": Backend(), "keras_loss": KerasLoss()}
    with training.RunRecord(Path(tempfile.mkdtemp(dir=task.directory)), seed=0, kl="analytic") as record:
        scale, description = model.regularizer_scale(task.batch), training.Description({}, "")
        recording = training.recording_callbacks(model, data, record, options, audit, scale, description)
        handing_in = [HandingIn(task, hand_in)]
        with training.Checkpoints(record, handing_in, options, data.size("train"), training.Progress()) as saver:
            training.fit(model, data, [*recording, *handing_in, saver], options)
