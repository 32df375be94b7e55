"""Several devices and machines: each replica differentiates its part of a batch, and their sum is the whole batch's.

The model stays an ordinary Keras model, with one set of weights in each process, so that checkpoints, callbacks and
evaluation are what they are on one device. Only a step is distributed: TensorFlow's strategy runs it on every replica
and adds the gradients up, and then each process applies the same sum to the same weights.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from vae.compat import keeping_sigterm_handler
from vae.data import training_images
from vae.distributed.cluster import Cluster, check_multi_worker, tf_config_cluster
from vae.distributed.rendezvous import PATIENCE, meet
from vae.errors import UserError
from vae.model import VAE
from vae.random import Stream, key, normal_like, regularizer_key, rows_of

#: What TensorFlow raises when a worker is gone: at once where its connection broke, after a heartbeat's 10 s otherwise.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class WorkerLostError(Exception):
    """Another worker of a distributed run ended or does not answer."""


def build_strategy(
    name: str, facts: Mapping[str, Any] | None = None, patience: float = PATIENCE
) -> tf.distribute.Strategy | None:
    """TensorFlow's strategy of a name; None for "single". Must be called before TensorFlow has been used.

    Args:
        name: "single", "mirrored" (the devices of this machine) or "multi_worker" (those of several).
        facts: what must be the same on all workers.
        patience: for how many seconds to wait for the other workers.

    Raises:
        UserError: for a strategy without its devices, or without its workers.
    """
    if name == "single":
        return None
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        if len(devices) < 2:
            raise UserError(
                f"trainer.strategy=mirrored: needs two GPUs or more, and TensorFlow finds "
                f"{len(tf.config.list_physical_devices('GPU'))}; trainer.strategy=single trains on one device"
            )
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    check_multi_worker()
    cluster = tf_config_cluster() if "TF_CONFIG" in os.environ else slurm_cluster()
    meet(cluster, facts or {}, patience)
    return _multi_worker_strategy(cluster)


def slurm_cluster() -> Cluster:
    """The tasks of the Slurm step that this process belongs to, found by TensorFlow's resolver.

    Raises:
        UserError: where the resolver does not understand the environment.
    """
    first_port = 10_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20_000  # two jobs may share a node
    tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
    try:
        # Left alone, the resolver asks nvidia-smi for GPUs, and fails where there is none. Slurm itself says which
        # GPUs a task sees, so that here a "GPU" for each task only stands for its place.
        workers = (
            tf.distribute.cluster_resolver.SlurmClusterResolver(
                port_base=first_port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
            )
            .cluster_spec()
            .job_tasks("worker")
        )
        # The resolver sorts hosts by name (n10 before n2) and takes a task's rank for its place among them; Slurm
        # ranks them otherwise. A task's own host and number there are what they are in either order.
        address = f"{os.environ['SLURMD_NODENAME']}:{first_port + int(os.environ['SLURM_LOCALID'])}"
        return Cluster(tuple(workers), workers.index(address))
    except (RuntimeError, ValueError) as error:
        raise UserError(f"trainer.strategy=multi_worker: the SLURM_ variables do not agree ({error})") from None


def _multi_worker_strategy(cluster: Cluster) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    with keeping_sigterm_handler():
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)


def distributed_step(
    model: VAE, binarization: str, strategy: tf.distribute.Strategy, *, compiled: bool
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], None]:
    """A function that trains on a batch of uint8 images, given the number of the step, as `Model.train_step` does.

    Args:
        model: a compiled model whose optimizer is built, with the same weights on every worker.
        binarization: as in `vae.data.training_images`.
        strategy: between whose replicas a batch is divided.
        compiled: whether a replica's part is an XLA program.

    Raises:
        UserError: where the regularizer of the parts of a batch does not tell that of the batch.
    """
    check_divisible(model)
    replicas, here = strategy.num_replicas_in_sync, len(strategy.extended.worker_devices)
    worker = strategy.cluster_resolver.task_id if strategy.cluster_resolver else 0

    def step(images: tf.Tensor, number: tf.Tensor, weights: tf.Tensor | None) -> None:
        assert weights is None
        arguments = (_state(model), images, number)
        signature = tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), arguments)
        # Traced here, outside of the strategy: inside, Keras's losses divide themselves by the number of replicas
        parts = {
            replica: _part(model, binarization, images.shape[0], replica, replicas, compiled).get_concrete_function(
                *signature
            )
            for replica in range(worker * here, (worker + 1) * here)
        }

        def whole_batch(*arguments: Any) -> tf.Tensor:
            """On each replica: the whole batch's loss, gradients and metrics' sums, as one vector."""
            context = tf.distribute.get_replica_context()
            replica = int(tf.get_static_value(context.replica_id_in_sync_group))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, parts[replica](*arguments))

        sums = strategy.run(whole_batch, arguments)
        apply(strategy.experimental_local_results(sums)[0], images.shape[0])  # all replicas have the same

    @tf.function(jit_compile=True)
    def apply(sums: tf.Tensor, count: int) -> None:
        """On each worker: the optimizer's step, outside of the strategy, so that clipping sees the whole gradient."""
        shapes = [(), *(variable.shape for variable in (*model.trainable_variables, *model.metrics_variables))]
        flat = tf.split(sums, [math.prod(shape) for shape in shapes])
        loss, *values = [tf.reshape(value, shape) for value, shape in zip(flat, shapes, strict=True)]
        gradients, metrics = values[: len(model.trainable_variables)], values[len(model.trainable_variables) :]
        for variable, value in zip(model.metrics_variables, metrics, strict=True):
            variable.assign_add(value)
        model.metrics[0].update_state(loss, sample_weight=count)  # Keras's mean of the loss
        model.optimizer.apply(gradients, model.trainable_variables)
        model.batches_seen.assign_add(1)

    return step


@contextlib.contextmanager
def losing_nobody() -> Iterator[None]:
    """Inside, what TensorFlow raises when a worker is gone becomes a `WorkerLostError`."""
    try:
        yield
    except LOST as error:
        raise WorkerLostError("another worker ended or does not answer any more") from error


def _state(model: VAE) -> tuple[list[tf.Tensor], list[tf.Tensor], tf.Tensor]:
    """What a replica needs of the model: weights, other variables, and the optimizer's scale of the loss."""
    trainable, others = (
        [tf.convert_to_tensor(variable) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return trainable, others, tf.convert_to_tensor(model.optimizer.scale_loss(tf.constant(1.0)))


def _part(model: VAE, binarization: str, count: int, replica: int, replicas: int, compiled: bool) -> Any:
    """A function: what a replica's rows of `count` images add to the batch's loss, gradients and metrics' sums."""
    rows = range(count)[replica * count // replicas : (replica + 1) * count // replicas]
    share = len(rows) / count
    rows = rows or range(1)  # more replicas than images: some row, which counts nothing

    @tf.function(jit_compile=compiled)
    def part(state: Any, images: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        trainable, others, scale = state
        metrics = [tf.zeros(variable.shape, variable.dtype) for variable in model.metrics_variables]
        with rows_of(count, rows.start), tf.GradientTape() as tape:
            tape.watch(trainable)
            batch = training_images(images[rows.start : rows.stop], binarization, model.seed, number)
            outputs, after = model.stateless_call(trainable, others, batch, training=True)
            loss, (_, after, metrics) = model.stateless_compute_loss(
                trainable, after, metrics, x=batch, y_pred=outputs, training=True
            )
            loss = share * loss
            scaled = scale * loss
        _check_stateless(model, others, after)
        counted = [value if share else tf.zeros_like(value) for value in metrics]
        sums = [loss, *tape.gradient(scaled, trainable, unconnected_gradients="zero"), *counted]
        return tf.concat([tf.reshape(value, [-1]) for value in sums], axis=0)  # one vector is one message

    return part


def _check_stateless(model: VAE, before: list[tf.Tensor], after: list[tf.Tensor]) -> None:
    for variable, old, new in zip(model.non_trainable_variables, before, after, strict=True):
        if new is not old and variable is not model.batches_seen:
            raise UserError(
                f"trainer.strategy: {variable.path} changes with every batch, and no replica sees a whole one; "
                "networks without batch normalization and dropout can be trained on several devices"
            )


def check_divisible(model: VAE) -> None:
    """Measures whether the regularizer of a batch is the mean of the parts' ones, weighted by their sizes.

    Raises:
        UserError: where it is not.
    """
    latent, prior = model.latent, model.prior_distribution()
    draw = key(0, Stream.PRIOR_SAMPLES, 0)
    parameters = normal_like(tf.zeros([12, latent.parameter_count]), draw)

    def term(first: int, last: int) -> float:
        with rows_of(12, first), regularizer_key(draw):
            posterior = latent.posterior(parameters[first:last])
            z = latent.training_sample(posterior, draw, 0)
            return float(model.objective.term(model.kl, posterior, prior, z, None, 0))

    whole, *parts = term(0, 12), term(0, 8), term(8, 12)
    if not np.isclose(whole, (8 * parts[0] + 4 * parts[1]) / 12, rtol=1e-4):
        raise UserError(
            f"trainer.strategy: {type(model.kl).__name__} with these options is no mean over examples, so that no "
            "replica can compute its part; trainer.strategy=single trains it, and so does kl.calibrate=true where the "
            "reduction is a sum"
        )
