"""The callbacks of a run, and its results after the last epoch."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import keras

from vae.data import DataSource, evaluation_batches
from vae.diagnosis import diagnose_if_whole
from vae.evaluation.pictures import save_pictures
from vae.kl import KLRegularizer
from vae.kl.weight import WEIGHT_TOLERANCE, Scale
from vae.model import VAE
from vae.random import Stream
from vae.runs.quantities import TRAINED
from vae.training.audit import Audit
from vae.training.checkpoints import save_model
from vae.training.loop import chosen_engine
from vae.training.options import TrainingOptions
from vae.training.progress_bar import ProgressBar
from vae.training.record import EpochRecorder, OptimizationQuantities, RunRecord
from vae.training.tensorboard import POINTS, TensorBoardLog


@dataclass(frozen=True)
class Description:
    """The configuration of a run, as TensorBoard shows it.

    Args:
        hyperparameters: the options that tell runs apart, by name.
        configuration: the composed configuration as YAML.
    """

    hyperparameters: Mapping[str, Any]
    configuration: str


def recording_callbacks(
    model: VAE,
    data: DataSource,
    record: RunRecord,
    options: TrainingOptions,
    audit: Mapping[str, KLRegularizer],
    scale: Scale,
    description: Description,
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that measure and record a run, in their order.

    Args:
        model: the model.
        data: the data set.
        record: the record of the run; if it does not write, the callbacks only measure.
        options: the options of the training.
        audit: the regularizers to audit by name; empty for no audit.
        scale: the trained term relative to the canonical KL (`VAE.regularizer_scale`).
        description: the configuration, for TensorBoard.
    """
    batch_size = min(options.batch_size, data.size("train"))
    batches = evaluation_batches(
        data.validation, batch_size, data.binarization, model.seed, Stream.VALIDATION_BINARIZATION
    )
    batches = list(batches.take(max(1, POINTS // batch_size)))
    engine = chosen_engine(options.engine, model)
    if audit and options.audit_interval > options.epochs:
        warnings.warn(
            f"trainer.audit_interval={options.audit_interval}: the run has {options.epochs} epochs, of which only the "
            "first and the last are audited",
            stacklevel=2,
        )
    measuring = [
        OptimizationQuantities(scale.factor),
        Audit(
            {**audit, TRAINED: model.kl} if audit else {},
            batches[0],
            scale.is_estimate,
            options.audit_interval,
            compiled=engine == "compiled",
        ),
    ]
    if not record.writes:
        return measuring
    record.update(engine=engine, estimates_kl=model.kl.estimates_kl)
    labels = data.labels("validation", sum(map(len, batches)))
    board = TensorBoardLog(
        record.directory.tensorboard, batches, labels, description.hyperparameters, description.configuration
    )
    return [*measuring, EpochRecorder(record), board, ProgressBar()]


def warn_of_effective_beta(model: VAE, scale: Scale, batch_size: int) -> None:
    """Warn if effective beta is far from beta, or if there is none: by how much, why, and which option is canonical.

    Args:
        model: the model.
        scale: the trained term relative to the canonical KL (`VAE.regularizer_scale`).
        batch_size: the number of examples in a batch.
    """
    reason = model.kl.explain_scale(batch_size, model.latent.size)
    if scale.factor is None:
        if changed := model.objective.explain_scale():
            reason = changed
        warnings.warn(
            "there is no effective beta, because the trained term is not a multiple of the canonical KL: on posteriors "
            f"near the prior, its gradient gives the KL a weight of {scale.weight:.3g} beta, and {scale.residual:.0%} "
            f"of its squared length has other directions. {reason}. The audit measures both on the run's posteriors",
            stacklevel=2,
        )
    elif abs(scale.factor - 1.0) > WEIGHT_TOLERANCE:
        beta = float(model.beta.numpy())  # a schedule multiplies it
        warnings.warn(
            f"effective beta is {beta * scale.factor:.4g}, not {beta:.4g}: the regularizer is {scale.factor:.4g} times "
            f"the canonical KL. {reason}",
            stacklevel=2,
        )


def save_results(model: VAE, data: DataSource, record: RunRecord, description: Description) -> None:
    """Write the diagnosis, the pictures and the model of a finished training into the run's directory.

    The summary's `elbo_kind` tells of what the ELBO is a bound (`vae.likelihoods.LogProbKind`), judged by the first
    fifty validation images; its `model_steps` after how many steps the model had its weights, which are fewer than the
    run's if early stopping restored them.
    """
    if not record.writes:
        return
    options = {**description.hyperparameters, "latent.size": model.latent.size}
    findings = diagnose_if_whole(record.summary, options, record.directory.history)
    if findings is not None:
        record.update(diagnosis=[asdict(finding) for finding in findings])
    batches = evaluation_batches(data.validation, 50, data.binarization, model.seed, Stream.VALIDATION_BINARIZATION)
    images = next(iter(batches))
    record.update(elbo_kind=model.likelihood.kind_of(images), model_steps=int(model.batches_seen.numpy()))
    save_pictures(model, images, record.directory.path, model.seed)
    save_model(model, record.directory.model)
