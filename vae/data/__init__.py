"""TensorFlow Datasets in, batches of images in [0, 1] out."""

from vae.data.batches import epoch_order, evaluation_batches, training_batches, training_images
from vae.data.source import ImageSource

__all__ = ["ImageSource", "epoch_order", "evaluation_batches", "training_batches", "training_images"]
