"""Images in, batches and chunks of them out."""

from vae.data.batches import Images, evaluation_batches, scaled_images, training_images
from vae.data.chunks import LONGEST_CHUNK, epoch_order, evaluation_chunks, training_chunks
from vae.data.source import ImageSource
from vae.data.stored import StoredImages

__all__ = [
    "LONGEST_CHUNK",
    "ImageSource",
    "Images",
    "StoredImages",
    "epoch_order",
    "evaluation_batches",
    "evaluation_chunks",
    "scaled_images",
    "training_chunks",
    "training_images",
]
