"""The benchmarks: every contender trains the same model, and the arithmetic that is counted is done."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY, run_script
from vae.networks import MLP, Conv

pytestmark = pytest.mark.thorough  # benchmarks that train


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))


def measured(directory: Path, *contenders: str, models: tuple[str, ...] = ("mlp",), images: int = 600) -> list[Any]:
    """Return the file that `train_step.py` writes for two rounds at batch 20."""
    arguments = ["--batches", "20", "--images", str(images), "--rounds", "2", "--json", str(directory / "figures.json")]
    ended = run_script(
        "benchmarks/train_step.py", *arguments, "--models", *models, "--contenders", *contenders, cwd=directory
    )
    assert ended.status == 0, ended.stderr
    figures: list[Any] = json.loads((directory / "figures.json").read_text())["figures"]
    assert [[found["name"] for found in figure["contenders"]] for figure in figures] == [list(contenders)] * len(models)
    assert all(name in ended.stdout for name in contenders)
    return figures


def assert_losses_agree(figures: dict[str, Any], tolerance: float) -> None:
    losses = np.array([found["losses"] for found in figures["contenders"]])
    assert (losses < 784 * np.log(2)).all(), losses  # which is what an untrained decoder's logits of 0 have
    assert (np.ptp(losses, axis=0) < tolerance * losses.mean(axis=0)).all(), losses


def test_keras_and_ours(tmp_path: Path) -> None:
    (figures,) = measured(tmp_path, "Keras fit, defaults", "ours, engine=keras")
    assert_losses_agree(figures, 0.03)
    defaults, ours = figures["contenders"]
    assert defaults["times_keras_defaults"] == 1.0
    assert ours["times_keras_best"] == defaults["milliseconds"] / ours["milliseconds"]
    assert len(ours["rounds"]) == len(ours["epoch_seconds"]) == 2
    gflops_of_a_step = 6 * 424_800 * 20 / 1e9  # at most: all weights of the network
    assert 0 < ours["share_of_matrix_product"] < 1
    assert ours["share_of_matrix_product"] * np.median(figures["matrix_product_gflops"]) < (
        gflops_of_a_step / (ours["milliseconds"] / 1000)
    )


def test_the_other_libraries(tmp_path: Path) -> None:
    for library in ("torch", "jax", "optax"):
        pytest.importorskip(library, reason=f"{library} is in the extra 'bench'")
    mlp, conv = measured(
        tmp_path, "PyTorch, eager", "JAX, compiled step", "ours, engine=keras", models=("mlp", "conv"), images=400
    )
    assert_losses_agree(mlp, 0.03)
    assert_losses_agree(conv, 0.05)


@pytest.mark.parametrize(("name", "network"), [("mlp", MLP()), ("conv", Conv())])
def test_the_arithmetic_of_a_step(name: str, network: MLP | Conv) -> None:
    """Against the operations, and their shapes, that TensorFlow's own graph of a step needs."""
    from arithmetic import flops_of_a_step

    encoder, decoder = network.encoder((28, 28, 1), 100), network.decoder(50, (28, 28, 1))

    @tf.function
    def step(images: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(decoder(encoder(images)[:, :50]))
        return loss, tape.gradient(loss, encoder.trainable_weights + decoder.trainable_weights)

    graph = step.get_concrete_function(tf.TensorSpec([7, 28, 28, 1])).graph
    assert flops_of_a_step(name, 7) == sum(map(flops_of_an_operation, needed([out.op for out in graph.outputs])))


def needed(operations: list[Any]) -> set[Any]:
    """These operations and those whose outputs they need."""
    found = set()
    while operations:
        operation = operations.pop()
        if operation not in found:
            found.add(operation)
            operations += [tensor.op for tensor in operation.inputs]
    return found


def flops_of_an_operation(operation: Any) -> float:
    """Two for every multiply-add of a matrix product or a convolution."""
    inputs = [tensor.shape for tensor in operation.inputs]
    outputs = [tensor.shape for tensor in operation.outputs]
    if operation.type == "MatMul":
        inner = inputs[0][0 if operation.get_attr("transpose_a") else 1]
        return 2.0 * outputs[0].num_elements() * inner
    if operation.type == "Conv2D":
        return 2.0 * outputs[0][:3].num_elements() * inputs[1].num_elements()
    if operation.type == "Conv2DBackpropInput":
        return 2.0 * inputs[2][:3].num_elements() * inputs[1].num_elements()
    if operation.type == "Conv2DBackpropFilter":
        return 2.0 * inputs[2][:3].num_elements() * outputs[0].num_elements()
    return 0.0


def test_who_cannot_take_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import contenders

    pytest.importorskip("torch", reason="torch is in the extra 'bench'")
    (compiled,) = (found for found in contenders.CONTENDERS if found.name == "PyTorch, compiled")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiled.missing == "needs a C++ compiler"


def test_memory(tmp_path: Path) -> None:
    arguments = ["--images", "500", "--batches", "128", "--latents", "50", "--json", "memory.json"]
    ended = run_script("benchmarks/memory.py", *arguments, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    runs = json.loads((tmp_path / "memory.json").read_text())
    assert [figures["source"] for figures in runs] == ["resident", "streamed"]
    for figures in runs:
        assert 100 < figures["imported_mebibytes"] < figures["peak_mebibytes"] < 8000


@pytest.mark.thorough
def test_evaluation(tmp_path: Path) -> None:
    arguments = ["--images", "20", "--samples", "100", "--batches", "20", "10", "--rounds", "2", "--json", "times.json"]
    ended = run_script("benchmarks/evaluation.py", *arguments, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    figures = json.loads((tmp_path / "times.json").read_text())
    assert [row["batch"] for row in figures["evaluations"]] == [20, 10]
    assert all(100 < row["peak_mebibytes"] < 2048 for row in figures["evaluations"])
    assert all(seconds > 0 for seconds in figures["parts_seconds"].values())
