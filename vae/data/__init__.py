"""TensorFlow Datasets in, batches of images in [0, 1] out."""

from vae.data.batches import BINARIZATIONS, evaluation_batches, training_batches
from vae.data.source import ImageSource

__all__ = ["BINARIZATIONS", "ImageSource", "evaluation_batches", "training_batches"]
