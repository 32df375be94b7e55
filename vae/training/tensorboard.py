"""TensorBoard's view of a run."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.plugins import projector
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.scalar import metadata as scalar_metadata

from vae.data.tiling import tile
from vae.evaluation.pictures import finite
from vae.runs.files import atomic_path
from vae.runs.quantities import AUDIT, QUANTITIES, TRAIN, VALIDATION, QuantityName

PICTURE_EPOCHS = 8  # with the first and the last at most ten, which is what TensorBoard keeps of a tag
POINTS = 1000  # of the projector, at most
LARGEST_SPRITE = 8192  # pixels a side, the largest texture of common browsers


class TensorBoardLog(keras.callbacks.Callback):
    """Writes scalars, histograms, pictures, the configuration, HParams and the projector's points.

    Steps are epochs, counted from 1. An epoch's scalars are one event for each run, and the audit's KL of each latent
    variable is a histogram, too. Quantities of the training split go to the run `train`, all else to `validation`.
    It comes after the callbacks that add to the logs.

    Args:
        directory: folder of the event files.
        batches: validation images to encode for the projector, batches of `(batch, height, width, channels)` in
            float32. The first batch is also reconstructed.
        labels: a label for each image; None if the data set has none.
        options: the configuration's options by name, for HParams.
        configuration: the composed configuration as YAML.
    """

    def __init__(
        self,
        directory: Path,
        batches: Sequence[tf.Tensor],
        labels: Sequence[str] | None,
        options: Mapping[str, Any],
        configuration: str,
    ) -> None:
        super().__init__()
        self._directory = directory
        self._batches = batches
        self._labels = labels
        self._options = options
        self._configuration = configuration
        self._points = directory / VALIDATION / "posterior_means.tsv"

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Describe the projector's points."""
        self._points.parent.mkdir(parents=True, exist_ok=True)
        _describe_points(self._points, np.concatenate(self._batches), self._labels)
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Open the event files before the first epoch. In a resumed run, its number is not 0."""
        if self._writers:
            return
        for run in (TRAIN, VALIDATION):
            _announce_start(self._directory / run, epoch + 1)
            self._writers[run] = tf.summary.create_file_writer(str(self._directory / run))
        if epoch == 0:
            self._write_configuration()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the epoch: an event for each run, and pictures from time to time."""
        step, epochs = epoch + 1, self.params["epochs"]
        for run, summary in _summaries(logs or {}).items():
            with self._writers[run].as_default():
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step)
        with self._writers[VALIDATION].as_default(step=step):
            if step == 1 or step % math.ceil(epochs / PICTURE_EPOCHS) == 0 or step == epochs:
                self._write_pictures()
                self._write_points()
        for writer in self._writers.values():
            writer.flush()

    def _write_configuration(self) -> None:
        with self._writers[VALIDATION].as_default(step=0):
            fenced = "\n".join(f"    {line}" for line in self._configuration.splitlines())
            tf.summary.text("configuration", fenced)
            tf.summary.experimental.write_raw_pb(custom_scalar.pb(charts()).SerializeToString(), step=0)
            # Without an hparams_config, TensorBoard finds the options in which the runs differ and shows them first
            start = time.strftime("%Y-%m-%d %H:%M:%S")  # two trials of one ID would be averaged
            hparams.hparams(dict(self._options), trial_id=f"{self._directory.parent.name} {start}")

    def _write_pictures(self) -> None:
        originals = self._batches[0][:32]
        reconstructions = finite("the reconstructions", self.model.reconstruct(originals))
        samples = finite("the samples", self.model.sample(64, seed=0))
        pairs = np.stack([originals, reconstructions], axis=1).reshape(-1, *originals.shape[1:])
        tf.summary.image("pictures/reconstructions", tile(pairs, columns=8)[np.newaxis])
        tf.summary.image("pictures/samples", tile(samples, columns=8)[np.newaxis])

    def _write_points(self) -> None:
        means = np.concatenate([self.model.encode(images).mean for images in self._batches])
        with atomic_path(self._points) as temporary:
            np.savetxt(temporary, means.reshape(len(means), -1), fmt="%.5g", delimiter="\t")


def _summaries(logs: Mapping[str, float]) -> dict[str, Summary]:
    """Return the scalars of an epoch and the histogram of the KL per latent variable, a summary for each run."""
    summaries = {TRAIN: Summary(), VALIDATION: Summary()}
    metadata = scalar_metadata.create_summary_metadata(display_name="", description="")
    kl_per_latent = []
    for log, value in logs.items():
        if math.isnan(value):
            continue  # an effective beta that does not exist
        name = QuantityName.from_log(log)
        tensor = TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[value])
        summaries[name.run].value.add(tag=name.tag, metadata=metadata, tensor=tensor)
        if (name.split, name.quantity) == (AUDIT, "kl_per_latent"):
            kl_per_latent.append(value)
    if kl_per_latent:
        summaries[VALIDATION].MergeFrom(histogram_pb("units/kl_per_latent", np.asarray(kl_per_latent)))
    return summaries


def charts() -> layout_pb2.Layout:
    """Return the page "Custom scalars". A chart of an audited quantity has all implementations in it."""
    charts_of: dict[str, list[layout_pb2.Chart]] = {"canonical": [], "audit": []}
    for name, quantity in QUANTITIES.items():
        if not quantity.chart:
            continue
        if quantity.group == "canonical":
            category, title, tag = "canonical", quantity.title, f"^{QuantityName(VALIDATION, name).tag}$"
        else:
            category, title, tag = "audit", quantity.meaning, f"^{QuantityName(AUDIT, name).tag}(/|$)"
        unit = ", nats" if quantity.in_nats else ""
        content = layout_pb2.MultilineChartContent(tag=[tag])
        charts_of[category].append(layout_pb2.Chart(title=f"{title}{unit}", multiline=content))
    return layout_pb2.Layout(
        category=[layout_pb2.Category(title=title, chart=chart) for title, chart in charts_of.items()]
    )


def _describe_points(points: Path, images: NDArray[np.float32], labels: Sequence[str] | None) -> None:
    """Write the projector's configuration beside the file of points, with the images and their labels."""
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name="posterior means", tensor_path=points.name)
    count, height, width, _ = images.shape
    columns = math.ceil(math.sqrt(count))
    if columns * max(height, width) <= LARGEST_SPRITE:
        sprite = np.round(255 * tile(images, columns, gap=0)).astype(np.uint8)
        with atomic_path(points.with_name("sprite.png")) as temporary:
            temporary.write_bytes(tf.io.encode_png(sprite).numpy())
        embedding.sprite.image_path = "sprite.png"
        embedding.sprite.single_image_dim.extend([width, height])
    if labels is not None:
        with atomic_path(points.with_name("labels.tsv")) as temporary:
            temporary.write_text("".join(f"{label}\n" for label in labels))
        embedding.metadata_path = "labels.tsv"
    projector.visualize_embeddings(str(points.parent), config)


def _make_earlier(directory: Path, now: int) -> None:
    """Rename the event files of a folder, in their order, if the clock has gone back: new ones must sort after them."""
    files = {path: int(path.name.split(".")[3]) for path in sorted(directory.glob("events.out.tfevents.[0-9]*"))}
    if max(files.values(), default=0) < now:
        return
    first = min(now, *files.values()) - len(files)
    for place, (path, number) in enumerate(files.items()):
        path.rename(path.with_name(path.name.replace(f".{number:010d}.", f".{first + place:010d}.", 1)))


def _announce_start(directory: Path, step: int) -> None:
    """Tell TensorBoard to discard the events of a step and of later ones: the run starts again at that step.

    TensorBoard reads the files of a run once, sorted by name. This one sorts before the file that the run then writes,
    whose name has the machine's name in the place of the hyphen.
    """
    directory.mkdir(parents=True, exist_ok=True)
    now = time.time()
    _make_earlier(directory, int(now))
    version = Event(wall_time=now, file_version="brain.Event:2")
    start = Event(wall_time=now, step=step, session_log=SessionLog(status=SessionLog.START))
    with tf.io.TFRecordWriter(str(directory / f"events.out.tfevents.{int(now):010d}.-start")) as file:
        for event in (version, start):
            file.write(event.SerializeToString())
