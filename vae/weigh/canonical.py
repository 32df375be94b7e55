"""The line of code that is the canonical loss: -log p(x|z) plus D[q||p], in nats, a mean over examples."""

from collections.abc import Mapping

from vae.weigh.formulas import Likelihood

_EXP = {"NumPy": "np.exp", "PyTorch": "torch.exp", "TensorFlow": "tf.exp", "JAX": "jnp.exp"}
_LOG = {"NumPy": "np.log", "PyTorch": "torch.log", "TensorFlow": "tf.math.log", "JAX": "jnp.log"}
#: The mean over examples, summed over the other axes: shorter than the opposite order, and the same
_REDUCED = {
    "NumPy": "np.mean({}, 0).sum()",
    "PyTorch": "torch.mean({}, 0).sum()",
    "TensorFlow": "tf.reduce_sum(tf.reduce_mean({}, 0))",
    "JAX": "jnp.mean({}, 0).sum()",
}
_CROSS_ENTROPY = {
    ("PyTorch", "probabilities"): 'torch.nn.functional.binary_cross_entropy({y}, {x}, reduction="none")',
    ("PyTorch", "logits"): 'torch.nn.functional.binary_cross_entropy_with_logits({y}, {x}, reduction="none")',
    ("TensorFlow", "logits"): "tf.nn.sigmoid_cross_entropy_with_logits({x}, {y})",
    ("NumPy", "logits"): "np.logaddexp(0, {y}) - {x} * {y}",
    ("JAX", "logits"): "jnp.logaddexp(0, {y}) - {x} * {y}",
}
_VARIANCE = {"log_var": "{exp}({v})", "var": "{v}", "log_std": "{exp}(2 * {v})", "std": "{v} ** 2"}
_LOG_VARIANCE = {"log_var": "{v}", "var": "{log}({v})", "log_std": "2 * {v}", "std": "2 * {log}({v})"}


def canonical_loss(framework: str, likelihood: Likelihood | None, names: Mapping[str, str], spread: str) -> str:
    """Return an expression for the canonical loss, of a Gaussian's or Laplace's width 1.

    Args:
        framework: the name of the framework, as `Framework.name`.
        likelihood: of the reconstruction; None for a loss without one.
        names: the parameters' names by role.
        spread: the role of the parameter for the posterior's width.
    """
    exp, log, reduced = _EXP[framework], _LOG[framework], _REDUCED[framework]
    v = names[spread]
    variance, log_variance = (each[spread].format(exp=exp, log=log, v=v) for each in (_VARIANCE, _LOG_VARIANCE))
    kl = reduced.format(f"0.5 * ({names['mu']} ** 2 + {variance} - 1 - {log_variance})")
    if likelihood is None:
        return kl
    per_pixel = _per_pixel(framework, likelihood, names["images"], names["reconstruction"])
    return f"{reduced.format(per_pixel)} + {kl}"


def _per_pixel(framework: str, likelihood: Likelihood, x: str, y: str) -> str:
    """Return an expression for -log p(x|z) in nats of every pixel, up to a constant."""
    if likelihood.scale == "b":
        return f"abs({x} - {y})"
    if likelihood.scale == "sigma":
        mean = y if likelihood.accepts == "means" else f"1 / (1 + {_EXP[framework]}(-{y}))"
        return f"0.5 * ({x} - {mean}) ** 2"
    log = _LOG[framework]
    written_out = f"-{x} * {log}({y}) - (1 - {x}) * {log}(1 - {y})"
    return _CROSS_ENTROPY.get((framework, likelihood.accepts), written_out).format(x=x, y=y)
