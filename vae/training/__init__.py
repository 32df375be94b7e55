"""What happens around the optimizer's steps: the audit, what a run records, checkpoints, the progress bar."""

from vae.distributed.strategies import build_strategy
from vae.training.checkpoints import Progress, checkpoints, latest_checkpoint, save_model, trained_model
from vae.training.loop import fit
from vae.training.record import RunRecord

__all__ = [
    "Progress",
    "RunRecord",
    "build_strategy",
    "checkpoints",
    "fit",
    "latest_checkpoint",
    "save_model",
    "trained_model",
]
