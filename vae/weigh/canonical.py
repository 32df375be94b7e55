"""The line of code that is the canonical loss: -log p(x|z) plus D[q||p], in nats, a mean over examples."""

from collections.abc import Mapping

from vae.weigh.formulas import Likelihood

#: For each framework the names of exp, log and of a sum, and the cross-entropies, of x, y and the number of examples n.
_EXP = {"NumPy": "np.exp", "PyTorch": "torch.exp", "TensorFlow": "tf.exp", "JAX": "jnp.exp"}
_LOG = {"NumPy": "np.log", "PyTorch": "torch.log", "TensorFlow": "tf.math.log", "JAX": "jnp.log"}
_SUM = {"NumPy": "np.sum", "PyTorch": "torch.sum", "TensorFlow": "tf.reduce_sum", "JAX": "jnp.sum"}
_CROSS_ENTROPY = {
    ("PyTorch", "probabilities"): 'torch.nn.functional.binary_cross_entropy({y}, {x}, reduction="sum")',
    ("PyTorch", "logits"): 'torch.nn.functional.binary_cross_entropy_with_logits({y}, {x}, reduction="sum")',
    ("TensorFlow", "logits"): "tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits({x}, {y}))",
    ("NumPy", "logits"): "np.sum(np.logaddexp(0.0, {y}) - {x} * {y})",
    ("JAX", "logits"): "jnp.sum(jnp.logaddexp(0.0, {y}) - {x} * {y})",
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
    exp, log, total = _EXP[framework], _LOG[framework], _SUM[framework]
    mu, v = names["mu"], names[spread]
    variance = _VARIANCE[spread].format(exp=exp, v=v)
    log_variance = _LOG_VARIANCE[spread].format(log=log, v=v)
    kl = f"0.5 * {total}({mu} ** 2 + {variance} - 1 - {log_variance})"
    if likelihood is None:
        return f"{kl} / len({mu})"
    return f"({_reconstruction(framework, likelihood, names['images'], names['reconstruction'])} + {kl}) / len({mu})"


def _reconstruction(framework: str, likelihood: Likelihood, x: str, y: str) -> str:
    """Return an expression for -log p(x|z) in nats, up to a constant, summed over everything."""
    total = _SUM[framework]
    if likelihood.accepts == "means" and likelihood.scale == "b":
        return f"{total}(abs({x} - {y}))"
    if likelihood.accepts == "means":
        return f"0.5 * {total}(({x} - {y}) ** 2)"
    if likelihood.scale:
        sigmoid = f"1 / (1 + {_EXP[framework]}(-{y}))"
        return f"0.5 * {total}(({x} - {sigmoid}) ** 2)"
    log = _LOG[framework]
    written_out = f"-{total}({{x}} * {log}({{y}}) + (1 - {{x}}) * {log}(1 - {{y}}))"
    return _CROSS_ENTROPY.get((framework, likelihood.accepts), written_out).format(x=x, y=y)
