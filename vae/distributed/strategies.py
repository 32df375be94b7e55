"""Training on several devices and machines: each replica differentiates its part of a batch, and the parts are added.

The model stays an ordinary Keras model, with one set of weights in each process, so that checkpoints, callbacks and
evaluation work as on one device. Only a step is distributed: TensorFlow's strategy runs it on every replica and adds up
the gradients, and then each process applies the same sum to the same weights.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae.compat import keeping_sigterm_handler
from vae.data import training_images
from vae.distributed.cluster import Cluster, check_multi_worker, tf_config_cluster
from vae.distributed.rendezvous import PATIENCE, meet
from vae.errors import UserError
from vae.model import VAE
from vae.random import Rows, Stream, key, normal_like

#: TensorFlow's errors if a worker is gone: at once if its connection broke, else after a heartbeat's 10 s.
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class WorkerLostError(Exception):
    """Another worker of a distributed run ended or does not answer."""


def build_strategy(
    name: str, facts: Mapping[str, Any] | None = None, patience: float = PATIENCE
) -> tf.distribute.Strategy | None:
    """Return TensorFlow's strategy of a name; None for "single". Call this before TensorFlow is used.

    Args:
        name: "single", "mirrored" (the devices of this machine) or "multi_worker" (those of several machines).
        facts: facts that must be the same on all workers.
        patience: the seconds to wait for the other workers.

    Raises:
        UserError: if the strategy's devices or workers are missing.
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
    """Return the tasks of this process's Slurm step, found by TensorFlow's resolver.

    Raises:
        UserError: if the resolver does not understand the environment.
    """
    first_port = 10_000 + int(os.environ.get("SLURM_JOB_ID", "0")) % 20_000  # two jobs may share a node
    tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
    try:
        # By default the resolver asks nvidia-smi for GPUs, and fails if there is none. Slurm itself decides which GPUs
        # a task sees, so that here a "GPU" for each task only stands for its place.
        workers = (
            tf.distribute.cluster_resolver.SlurmClusterResolver(
                port_base=first_port, gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
            )
            .cluster_spec()
            .job_tasks("worker")
        )
        # The resolver sorts hosts by name (n10 before n2) and takes a task's rank for its place among them, but Slurm
        # ranks the hosts in another order. A task's host and its number on that host do not depend on the order.
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
    """Return a function that trains on a batch of uint8 images, given the number of the step.

    It does what `Model.train_step` does, but each replica computes a part of the batch.

    Args:
        model: a compiled model whose optimizer is built, with the same weights on every worker.
        binarization: "none", "threshold" or "dynamic" (`vae.data.training_images`).
        strategy: the strategy whose replicas share a batch.
        compiled: whether a replica's part is an XLA program.

    Raises:
        UserError: if the regularizer cannot be computed from parts of a batch, or the networks cannot.
    """
    check_divisible(model)
    replicas, here = strategy.num_replicas_in_sync, len(strategy.extended.worker_devices)
    worker = strategy.cluster_resolver.task_id if strategy.cluster_resolver else 0

    def step(images: tf.Tensor, number: tf.Tensor, weights: tf.Tensor | None) -> None:
        assert weights is None
        arguments = (_state(model), images, number)
        signature = tf.nest.map_structure(lambda value: tf.TensorSpec(value.shape, value.dtype), arguments)
        # Traced here, outside the strategy: inside, Keras's losses divide themselves by the number of replicas
        parts = {
            replica: _replica_step(
                model, binarization, images.shape[0], replica, replicas, compiled
            ).get_concrete_function(*signature)
            for replica in range(worker * here, (worker + 1) * here)
        }

        def whole_batch(*arguments: Any) -> tf.Tensor:
            """Return, on each replica, the sums of all replicas' gradients and metrics, as one vector."""
            context = tf.distribute.get_replica_context()
            replica = int(tf.get_static_value(context.replica_id_in_sync_group))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, parts[replica](*arguments))

        sums = strategy.run(whole_batch, arguments)
        apply(strategy.experimental_local_results(sums)[0])  # the same on all replicas

    @tf.function(autograph=False, jit_compile=True)
    def apply(sums: tf.Tensor) -> None:
        """Take the optimizer's step on each worker, outside the strategy, so that clipping sees the whole gradient."""
        shapes = [variable.shape for variable in (*model.trainable_variables, *model.metrics_variables)]
        flat = tf.split(sums, [math.prod(shape) for shape in shapes])
        values = [tf.reshape(value, shape) for value, shape in zip(flat, shapes, strict=True)]
        gradients, metrics = values[: len(model.trainable_variables)], values[len(model.trainable_variables) :]
        for variable, value in zip(model.metrics_variables, metrics, strict=True):
            variable.assign_add(value)
        model.optimizer.apply(gradients, model.trainable_variables)
        model.batches_seen.assign_add(1)

    return step


@contextlib.contextmanager
def detecting_lost_workers() -> Iterator[None]:
    """Raise a `WorkerLostError` for the errors that TensorFlow raises if another worker is gone."""
    try:
        yield
    except LOST_WORKER_ERRORS as error:
        raise WorkerLostError("another worker ended or does not answer any more") from error


def _state(model: VAE) -> tuple[list[tf.Tensor], list[tf.Tensor], tf.Tensor]:
    """Return the state of the model that a replica needs: weights, other variables, and the scale of the loss."""
    trainable, others = (
        [tf.convert_to_tensor(variable) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return trainable, others, tf.convert_to_tensor(model.optimizer.scale_loss(tf.constant(1.0)))


def _replica_step(model: VAE, binarization: str, count: int, replica: int, replicas: int, compiled: bool) -> Any:
    """Return a function that computes a replica's part of the sums over `count` images: gradients and metrics."""
    rows = range(count)[replica * count // replicas : (replica + 1) * count // replicas]
    share = len(rows) / count
    rows = rows or range(1)  # more replicas than images: some row, whose share is 0

    @tf.function(autograph=False, jit_compile=compiled)
    def part(state: Any, images: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        trainable, others, scale = state
        variables = [*model.trainable_variables, *model.non_trainable_variables, *model.metrics_variables]
        zeros = [tf.zeros(variable.shape, variable.dtype) for variable in model.metrics_variables]
        values = zip(variables, [*trainable, *others, *zeros], strict=True)
        with keras.StatelessScope(values) as scope, tf.GradientTape() as tape:
            tape.watch(trainable)
            # Binarized as a whole, so that the draws do not depend on the number of replicas
            batch = training_images(images, binarization, model.seed, number)[rows.start : rows.stop]
            place = Rows(rows.start, count)
            outputs = model(batch, training=True, rows=place)
            loss = scale * share * model.compute_loss(batch, y_pred=outputs, training=True, rows=place)
        _check_stateless(model, others, scope)
        metrics = [
            scope.get_current_value(variable) if share else value
            for variable, value in zip(model.metrics_variables, zeros, strict=True)
        ]
        sums = [*tape.gradient(loss, trainable, unconnected_gradients="zero"), *metrics]
        return tf.concat([tf.reshape(value, [-1]) for value in sums], axis=0)  # one vector is one message

    return part


def _check_stateless(model: VAE, before: list[tf.Tensor], scope: keras.StatelessScope) -> None:
    """Refuse networks whose variables change with every batch, which no replica sees whole."""
    for variable, old in zip(model.non_trainable_variables, before, strict=True):
        if scope.get_current_value(variable) is not old and variable is not model.batches_seen:
            raise UserError(
                f"trainer.strategy: {variable.path} changes with every batch, and a replica sees only a part of it; "
                "networks without batch normalization and dropout can be trained on several devices"
            )


def check_divisible(model: VAE) -> None:
    """Refuse regularizers that cannot be computed from parts of a batch.

    The term of a batch must be the mean of its parts' terms, weighted by their sizes. It is computed at the first step
    and after all schedules, for one part close to the prior and one far from it, so that a threshold lies in between.

    Raises:
        UserError: if the terms differ.
    """
    latent, prior = model.latent, model.prior_distribution()
    distances = tf.constant([[0.01]] * 8 + [[3.0]] * 4)
    parameters = distances * normal_like(tf.zeros([12, latent.parameter_count]), key(0, Stream.PROBE, 0))

    def term(first: int, last: int, step: int) -> float:
        rows = Rows(first, 12)
        posterior = latent.posterior(parameters[first:last])
        z = latent.training_sample(posterior, key(0, Stream.PROBE, 1, rows), step)
        return float(model.objective.term(model.kl, posterior, prior, z, key=key(0, Stream.PROBE, 2, rows), step=step))

    for step in (0, 2**30):
        whole, *parts = term(0, 12, step), term(0, 8, step), term(8, 12, step)
        if not np.isclose(whole, (8 * parts[0] + 4 * parts[1]) / 12, rtol=1e-4):
            raise UserError(
                f"trainer.strategy: {type(model.kl).__name__} with these options is not a mean over examples, so a "
                "replica cannot compute its part of it; trainer.strategy=single trains it, and so does "
                "kl.calibrate=true if the reduction is a sum"
            )
