"""Curves for TensorBoard, where somebody asks for them. TensorFlow itself writes them; TensorBoard shows them."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

# What TensorBoard's own `tf.summary.scalar` would say, without its package.
SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"), data_class=1
)


def open_events(folder: Path | None) -> tf.summary.SummaryWriter:
    """Where `write_events` writes to; nowhere without a folder."""
    return tf.summary.create_file_writer(str(folder)) if folder else tf.summary.create_noop_writer()


def write_events(events: tf.summary.SummaryWriter, point: Mapping[str, float]) -> None:
    """Add a finished epoch: every number of it under its own name, readable at once."""
    with events.as_default(step=int(point["epoch"])):
        for name, value in point.items():
            if name != "epoch":
                tf.summary.write(name, tf.constant(value, tf.float32), metadata=SCALAR)
    events.flush()
