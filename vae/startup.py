"""TensorFlow, loaded late and quietly."""

import os
import tempfile

from rich.console import Console


def load_tensorflow() -> None:
    """Imports TensorFlow without the lines about the machine that its native code prints whatever the log level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with Console().status("loading TensorFlow"), tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            import absl.logging
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            absl.logging.set_verbosity(absl.logging.ERROR)  # TFDS's log
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
