"""What TensorBoard shows of a run."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins import projector
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams
from tensorboard.summary.writer.record_writer import RecordWriter

from vae.data.tiling import tile
from vae.runs.files import replaced

PICTURE_EPOCHS = 8  # with the first and the last at most ten, which is what TensorBoard keeps of a tag
POINTS = 1000  # of the projector, at most
LARGEST_SPRITE = 8192  # pixels a side, which is what browsers take as a texture
CANONICAL = ("elbo", "reconstruction", "kl")
OF_UNITS = ("active", "kl_per_latent")  # what the audit says of the latent variables, not of a regularizer
AUDITED = {
    "gap": "value minus the exact KL, nats",
    "gradient_cosine": "cosine of the gradient and the exact one's",
    "gradient_length_ratio": "length of the gradient against the exact one's",
    "dead_gradient_share": "share of dead gradient entries",
    "clipped_share": "share of clipped numbers",
}


class TensorBoardLog(keras.callbacks.Callback):
    """Writes scalars, histograms, images, the configuration, HParams and the projector's points.

    Steps are epochs, counted from 1. What was measured in training goes to the run `train`, all else to `validation`.

    Args:
        directory: the run's `tensorboard`.
        batches: the validation images to encode, float32. The first batch is reconstructed, too, and its KL per latent
            variable becomes a histogram.
        labels: what the images show, in their order; None where the data set does not say.
        epochs: how many the run will have; images and points are written in at most ten of them.
        options: the configuration's options by name, for HParams.
        configuration: the composed configuration as YAML.
        first_epoch: how many epochs a resumed run has behind it; what was written of later ones no longer counts.
    """

    def __init__(
        self,
        directory: Path,
        batches: Sequence[tf.Tensor],
        labels: Sequence[str] | None,
        epochs: int,
        options: Mapping[str, Any],
        configuration: str,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self._batches = batches
        self._picture_interval = math.ceil(epochs / PICTURE_EPOCHS)
        self._epochs = epochs
        splits = ("train", "validation")
        for split in splits:
            _announce_start(directory / split, first_epoch + 1)
        self._writers = {split: tf.summary.create_file_writer(str(directory / split)) for split in splits}
        self._points = directory / "validation" / "posterior_means.tsv"
        _describe_points(self._points, np.concatenate(batches), labels)
        if first_epoch:
            return  # the rest stands there already
        with self._writers["validation"].as_default(step=0):
            fenced = "\n".join(f"    {line}" for line in configuration.splitlines())
            tf.summary.text("configuration", fenced)
            layout = custom_scalar.pb(charts())
            tf.summary.experimental.write_raw_pb(layout.SerializeToString(), step=0)
            # No hparams_config: without one TensorBoard looks in which options the runs differ, and shows these first
            began = time.strftime("%Y-%m-%d %H:%M:%S")  # of two trials of one ID the page would show the mean
            hparams.hparams(dict(options), trial_id=f"{directory.parent.name} {began}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch."""
        step = epoch + 1
        for split, figures in split_logs(logs or {}).items():
            with self._writers["train" if split == "train" else "validation"].as_default(step=step):
                for name, value in figures.items():
                    tf.summary.scalar(scalar_tag(split, name), value)
        with self._writers["validation"].as_default(step=step):
            kl = self.model.encode(self._batches[0]).kl_divergence(self.model.latent.prior())
            tf.summary.histogram("units/kl_per_latent", tf.reduce_mean(kl, axis=0))
            if step == 1 or step % self._picture_interval == 0 or step == self._epochs:
                self._write_images()
                self._write_points()
        for writer in self._writers.values():
            writer.flush()

    def _write_images(self) -> None:
        originals = self._batches[0][:32]
        reconstructions = self.model.reconstruct(originals)
        pairs = np.stack([originals, reconstructions], axis=1).reshape(-1, *originals.shape[1:])
        tf.summary.image("pictures/reconstructions", tile(pairs, columns=8)[np.newaxis])
        tf.summary.image("pictures/samples", tile(np.asarray(self.model.sample(64, seed=0)), columns=8)[np.newaxis])

    def _write_points(self) -> None:
        means = np.concatenate([self.model.encode(images).mean for images in self._batches])
        with replaced(self._points) as temporary:
            np.savetxt(temporary, means.reshape(len(means), -1), fmt="%.5g", delimiter="\t")


def scalar_tag(split: str, name: str) -> str:
    """Where a quantity stands in TensorBoard, which shows groups, the words before the first slash, alphabetically.

    Args:
        split: "train", "validation" or "audit".
        name: the quantity's, as in history.csv after the split.

    Returns:
        The name, in its group: canonical, optimization, regularizer_audit or units.
    """
    if split == "audit":
        return f"units/{name}" if name.startswith(OF_UNITS) else f"regularizer_audit/{name}"
    return f"canonical/{name}" if name in CANONICAL else f"optimization/{name}"


def charts() -> layout_pb2.Layout:
    """The page "Custom scalars": the canonical quantities, and of the audit all implementations in one chart each."""

    def chart(title: str, tag: str) -> layout_pb2.Chart:
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[tag]))

    canonical = [chart(f"{name}, nats", f"^{scalar_tag('validation', name)}$") for name in CANONICAL]
    audit = [chart(title, f"^{scalar_tag('audit', name)}/") for name, title in AUDITED.items()]
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="canonical", chart=canonical),
            layout_pb2.Category(title="audit", chart=audit),
        ]
    )


def _describe_points(points: Path, images: NDArray[np.float32], labels: Sequence[str] | None) -> None:
    """Leaves beside the file of points what the projector shows with them: the images, and what they show."""
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name="posterior means", tensor_path=points.name)
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    if columns * max(height, width) <= LARGEST_SPRITE:
        sprite = np.round(255 * tile(images, columns, gap=0)).astype(np.uint8)
        points.with_name("sprite.png").write_bytes(tf.io.encode_png(sprite).numpy())
        embedding.sprite.image_path = "sprite.png"
        embedding.sprite.single_image_dim.extend([width, height])
    if labels is not None:
        points.with_name("labels.tsv").write_text("".join(f"{label}\n" for label in labels))
        embedding.metadata_path = "labels.tsv"
    projector.visualize_embeddings(str(points.parent), config)


def _announce_start(directory: Path, step: int) -> None:
    """Tells TensorBoard that the run starts at a step: what it has of that step and later ones no longer counts.

    TensorBoard reads a run's files by name, one after the other, and goes back to none: this one has to come before
    the one that the run then writes, which has the name of the machine where this one has a hyphen.
    """
    directory.mkdir(parents=True, exist_ok=True)
    now = time.time()
    version = Event(wall_time=now, file_version="brain.Event:2")
    start = Event(wall_time=now, step=step, session_log=SessionLog(status=SessionLog.START))
    with (directory / f"events.out.tfevents.{int(now):010d}.-start").open("wb") as file:
        for event in (version, start):
            RecordWriter(file).write(event.SerializeToString())


def split_logs(logs: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Keras's logs of an epoch as {"train": ..., "validation": ..., "audit": ...}, without the prefixes."""
    figures: dict[str, dict[str, float]] = {"train": {}, "validation": {}, "audit": {}}
    for name, value in logs.items():
        for split, prefix in (("validation", "val_"), ("audit", "audit/"), ("train", "")):
            if name.startswith(prefix):
                figures[split][name.removeprefix(prefix)] = value
                break
    return figures
