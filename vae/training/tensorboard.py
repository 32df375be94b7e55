"""What TensorBoard shows of a run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api as hparams
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from vae.images import tile

IMAGE_EPOCHS = 20
METRICS = ("elbo", "reconstruction", "kl", "loss")
CANONICAL = ("elbo", "reconstruction", "kl")
AUDITED = {
    "gap": "value minus the exact KL, nats",
    "gradient_cosine": "cosine of the gradient and the exact one's",
    "gradient_length_ratio": "length of the gradient against the exact one's",
    "dead_gradient_share": "share of dead gradient entries",
    "clipped_share": "share of clipped numbers",
}


class TensorBoardLog(keras.callbacks.Callback):
    """Writes scalars, histograms, images, the configuration and HParams.

    Scalars go by the design's names: those of the training split to `train`, those of the validation split and the
    audit to `validation`. Steps are epochs, counted from 1.

    Args:
        directory: the run's `tensorboard`.
        images: validation images to reconstruct and to measure the KL per latent variable on, float32.
        epochs: how many the run will have; images are written in about twenty of them.
        options: the configuration's options by name, for HParams.
        configuration: the composed configuration as YAML.
        first_epoch: how many epochs a resumed run has behind it; what was written of later ones no longer counts.
    """

    def __init__(
        self,
        directory: Path,
        images: tf.Tensor,
        epochs: int,
        options: Mapping[str, Any],
        configuration: str,
        first_epoch: int = 0,
    ) -> None:
        super().__init__()
        self._images = images
        self._image_interval = max(1, epochs // IMAGE_EPOCHS)
        self._epochs = epochs
        splits = ("train", "validation")
        for split in splits:
            _announce_start(directory / split, first_epoch + 1)
        self._writers = {split: tf.summary.create_file_writer(str(directory / split)) for split in splits}
        if first_epoch:
            return  # the rest stands there already
        with tf.summary.create_file_writer(str(directory)).as_default(step=0):
            fenced = "\n".join(f"    {line}" for line in configuration.splitlines())
            tf.summary.text("configuration", fenced)
            layout = custom_scalar.pb(charts())
            tf.summary.experimental.write_raw_pb(layout.SerializeToString(), step=0)
            metrics = [hparams.Metric(name, group="validation", display_name=name) for name in METRICS]
            hparams.hparams_config([hparams.HParam(name) for name in options], metrics)
            hparams.hparams(dict(options), trial_id=directory.parent.name)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch."""
        step = epoch + 1
        for split, figures in split_logs(logs or {}).items():
            with self._writers["train" if split == "train" else "validation"].as_default(step=step):
                for name, value in figures.items():
                    tf.summary.scalar(f"audit/{name}" if split == "audit" else name, value)
        with self._writers["validation"].as_default(step=step):
            kl = self.model.encode(self._images).kl_divergence(self.model.latent.prior())
            tf.summary.histogram("kl_per_latent", tf.reduce_mean(kl, axis=0))
            if step == 1 or step % self._image_interval == 0 or step == self._epochs:
                self._write_images()
        for writer in self._writers.values():
            writer.flush()

    def _write_images(self) -> None:
        originals = self._images[:32]
        reconstructions = self.model.reconstruct(originals)
        pairs = np.stack([originals, reconstructions], axis=1).reshape(-1, *originals.shape[1:])
        tf.summary.image("reconstructions", tile(pairs, columns=8)[np.newaxis])
        tf.summary.image("samples", tile(np.asarray(self.model.sample(64, seed=0)), columns=8)[np.newaxis])


def charts() -> layout_pb2.Layout:
    """The page "Custom scalars": the canonical quantities, and of the audit all implementations in one chart each."""

    def chart(title: str, tag: str) -> layout_pb2.Chart:
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=[tag]))

    canonical = [chart(f"{name}, nats", f"^{name}$") for name in CANONICAL]
    audit = [chart(title, f"^audit/{name}/") for name, title in AUDITED.items()]
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="canonical", chart=canonical),
            layout_pb2.Category(title="audit", chart=audit),
        ]
    )


def _announce_start(directory: Path, step: int) -> None:
    """Tells TensorBoard that the run starts at a step: what it has of that step and later ones no longer counts."""
    writer = EventFileWriter(str(directory), filename_suffix=".start")
    writer.add_event(Event(step=step, wall_time=time.time(), session_log=SessionLog(status=SessionLog.START)))
    writer.close()


def split_logs(logs: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Keras's logs of an epoch as {"train": ..., "validation": ..., "audit": ...}, without the prefixes."""
    figures: dict[str, dict[str, float]] = {"train": {}, "validation": {}, "audit": {}}
    for name, value in logs.items():
        for split, prefix in (("validation", "val_"), ("audit", "audit/"), ("train", "")):
            if name.startswith(prefix):
                figures[split][name.removeprefix(prefix)] = value
                break
    return figures
