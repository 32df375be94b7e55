"""A comparison as a run of TensorBoard: its curves are the differences between configurations. Needs no TensorFlow."""

import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from tensorboard.compat.proto import types_pb2
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.image import metadata as image
from tensorboard.plugins.scalar import metadata as scalar
from tensorboard.plugins.text import metadata as text
from tensorboard.summary.writer.record_writer import RecordWriter

from vae.compare.columns import markdown_table
from vae.compare.comparison import Comparison
from vae.compare.difference_plots import difference_plot, frontier_plots
from vae.compare.drawing import configuration_styles
from vae.compare.margin import MARGIN
from vae.compare.pairs import difference_curves
from vae.compare.plot import Plot
from vae.compare.table import compare
from vae.compare.verdicts import conclusions, default_baseline

_CURVES = {"difference": "difference", "low": "difference_low", "high": "difference_high"}
_SUFFIX = ".comparison"


def write_tensorboard(
    runs: pd.DataFrame | Comparison, directory: Path, baseline: str | None = None, margin: float = MARGIN
) -> Path:
    """Write the differences of the ELBO and the verdicts as a run that `tensorboard --logdir` shows beside the others.

    The curves `difference/<configuration>` are the paired differences from the baseline at every epoch; the page
    "Custom scalars" shows them with their simultaneous 95 % bands. "Text" has the table and the verdicts, "Images" the
    differences and the frontier. Writing again replaces what was there, also in a TensorBoard that is open.

    Args:
        runs: the table of `load_runs`, or a comparison.
        directory: the run's folder.
        baseline: as for `differences`.
        margin: as for `differences`.

    Returns:
        The path of the event file.
    """
    comparison = Comparison.of(runs)
    baseline = baseline or default_baseline(comparison)
    curves, table = difference_curves(comparison, baseline), compare(comparison)
    styles = configuration_styles(table["configuration"])
    plots = [difference_plot(curves, styles, margin), *frontier_plots(comparison, styles, margin)]
    said = "\n\n".join([f"Baseline: {baseline}", *conclusions(comparison, baseline, margin)])
    events = [
        Event(file_version="brain.Event:2"),
        # TensorBoard discards what it has read of this run from step 0 on
        Event(step=0, session_log=SessionLog(status=SessionLog.START)),
        Event(step=0, summary=_layout(curves["configuration"].drop_duplicates())),
        Event(step=0, summary=_text("comparison", f"{markdown_table(table)}\n\n{said}")),
        *(Event(step=0, summary=_image(plot)) for plot in plots if plot),
        *_curves(curves),
    ]
    return _write(events, directory)


def _curves(curves: pd.DataFrame) -> Iterator[Event]:
    """Yield an event for each epoch, with all curves."""
    metadata = scalar.create_summary_metadata(display_name="", description="")
    for epoch, rows in curves.groupby("epoch"):
        summary = Summary()
        for row in rows.to_dict("records"):
            for column, prefix in _CURVES.items():
                if pd.notna(row[column]):
                    value = TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[row[column]])
                    summary.value.add(tag=f"{prefix}/{row['configuration']}", metadata=metadata, tensor=value)
        yield Event(step=int(epoch), summary=summary)


def _layout(configurations: Sequence[str]) -> Summary:
    """Return the page "Custom scalars": a chart with its band for each configuration."""
    charts = [
        layout_pb2.Chart(
            title=name,
            margin=layout_pb2.MarginChartContent(
                series=[
                    layout_pb2.MarginChartContent.Series(
                        value=f"{_CURVES['difference']}/{name}",
                        lower=f"{_CURVES['low']}/{name}",
                        upper=f"{_CURVES['high']}/{name}",
                    )
                ]
            ),
        )
        for name in configurations
    ]
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title="ELBO minus the baseline's, nats", chart=charts)])
    metadata = custom_scalar.create_summary_metadata()
    return _strings(custom_scalar.CONFIG_SUMMARY_TAG, metadata, [layout.SerializeToString()], scalar_shape=True)


def _text(tag: str, words: str) -> Summary:
    return _strings(
        tag, text.create_summary_metadata(display_name="", description=""), [words.encode(errors="replace")]
    )


def _image(plot: Plot) -> Summary:
    file = io.BytesIO()
    plot.figure.savefig(file, format="png", dpi=100)
    width, height = (round(100 * inches) for inches in plot.figure.get_size_inches())
    metadata = image.create_summary_metadata(display_name="", description=plot.description)
    return _strings(plot.name, metadata, [str(width).encode(), str(height).encode(), file.getvalue()])


def _strings(tag: str, metadata: SummaryMetadata, values: Sequence[bytes], scalar_shape: bool = False) -> Summary:
    dimensions = [] if scalar_shape else [TensorShapeProto.Dim(size=len(values))]
    shape = TensorShapeProto(dim=dimensions)
    tensor = TensorProto(dtype=types_pb2.DT_STRING, string_val=values, tensor_shape=shape)
    return Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])


def _write(events: Sequence[Event], directory: Path) -> Path:
    """Write the events to a new file, which TensorBoard reads after those before, and delete those before."""
    directory.mkdir(parents=True, exist_ok=True)
    now = time.time_ns()
    path = directory / f"events.out.tfevents.{now // 10**9:010d}.{now % 10**9:09d}{_SUFFIX}"
    earlier = [*directory.glob(f"events.out.tfevents.*{_SUFFIX}")]
    temporary = directory / f".{os.getpid()}-{now}"  # TensorBoard would read one with "tfevents" in its name
    try:
        with temporary.open("wb") as file:
            records = RecordWriter(file)
            for event in events:
                event.wall_time = now / 1e9
                records.write(event.SerializeToString())
            records.flush()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    for old in earlier:
        old.unlink(missing_ok=True)
    return path
