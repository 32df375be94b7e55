"""Recognition of a loss's parameters by their names."""

from collections.abc import Callable
from typing import Any

import pytest

from vae.errors import UserError
from vae.weigh.parameters import parameters_of, role_of


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("images", ["x", "images", "input", "inputs", "data", "target", "y_true", "batch", "originalImages", "gt"]),
        (
            "reconstruction",
            [
                "y",
                "recon",
                "recon_x",
                "x_recon",
                "x_hat",
                "xHat",
                "reconstructed",
                "decoded",
                "output",
                "y_pred",
                "logits",
                "x_decoded_mean",
                "x_logit",
                "reconstruction_logits",
                "decoder_output",
            ],
        ),
        ("mu", ["mu", "mean", "z_mean", "mu_z", "zMean", "latent_mean", "encoder_mean", "q_mu", "m"]),
        (
            "log_var",
            ["log_var", "logvar", "z_log_var", "logVar", "log_sigma2", "z_log_sigma_sq", "latent_logvar", "lv"],
        ),
        ("log_std", ["log_std", "logstd", "log_sigma", "z_log_sigma", "logSigma"]),
        ("std", ["std", "sigma", "z_std", "stddev"]),
        ("var", ["var", "variance", "sigma_sq", "z_var"]),
        (None, ["z", "beta", "kld_weight", "self", "epoch", "model", ""]),
    ],
)
def test_names_are_recognised(role: str | None, names: list[str]) -> None:
    assert {name: role_of(name) for name in names} == dict.fromkeys(names, role)


def named(x: Any, y: Any, mu: Any, log_var: Any, beta: float = 1.0) -> None: ...


def unnamed(*args: Any, **kwargs: Any) -> None: ...


def odd(a: Any, b: Any, c: Any, d: Any) -> None: ...


def two_widths(x: Any, y: Any, mu: Any, log_var: Any, sigma: Any) -> None: ...


def width_with_default(x: Any, y: Any, mu: Any, log_var: Any, sigma: float = 1.0) -> None: ...


def without_posterior(y_true: Any, y_pred: Any) -> None: ...


def without_images(recon: Any, mu: Any, log_var: Any) -> None: ...


def positional(x: Any, y: Any, mu: Any, log_var: Any, /) -> None: ...


class Model:
    def loss(self, x: Any, y: Any, mu: Any, log_var: Any) -> None: ...


def twice(x: Any, image: Any, y: Any, mu: Any, log_var: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "options", "names"),
    [
        (named, {}, {"images": "x", "reconstruction": "y", "mu": "mu", "log_var": "log_var"}),
        (width_with_default, {}, {"images": "x", "reconstruction": "y", "mu": "mu", "log_var": "log_var"}),
        (
            odd,
            {"told": {"mu": "a", "std": "b", "images": "c", "reconstruction": "d"}},
            {"mu": "a", "std": "b", "images": "c", "reconstruction": "d"},
        ),
        (named, {"told": {"std": "log_var"}}, {"images": "x", "reconstruction": "y", "mu": "mu", "std": "log_var"}),
        (
            two_widths,
            {"told": {"log_var": "log_var"}, "constants": {"sigma": 0.1}},
            {"images": "x", "reconstruction": "y", "mu": "mu", "log_var": "log_var"},
        ),
        (Model().loss, {}, {"images": "x", "reconstruction": "y", "mu": "mu", "log_var": "log_var"}),
        (unnamed, {"order": ("mu", "std")}, {"mu": "mu", "std": "std"}),
    ],
)
def test_each_role_has_its_parameter(
    function: Callable[..., Any], options: dict[str, Any], names: dict[str, str]
) -> None:
    assert dict(parameters_of(function, **options).names) == names


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (odd, {}, "parameter a is not recognised: say what it takes by one of --images"),
        (Model.loss, {}, "it is a method: make an instance in the file and name that"),
        (unnamed, {}, r"parameters \*args: the posterior is missing; .* --order=images,reconstruction,mu,log_var"),
        (two_widths, {}, "log_var and sigma both look like the posterior's width: name one, as --log-var=log_var"),
        (two_widths, {"told": {"log_var": "log_var"}}, "parameter sigma is not recognised: .* or give it a value"),
        (twice, {}, "x and image both look like images: say which by --images=x"),
        (without_posterior, {}, "parameters y_true, y_pred: the posterior is missing; name the mean by --mu"),
        (without_images, {}, "no parameter for images found; name it by --images"),
        (positional, {}, "its parameters have no names that a call could use: give --order"),
        (named, {"told": {"mu": "m"}}, "it has no parameter m; its parameters are x, y, mu, log_var, beta"),
        (named, {"constants": {"gamma": 1}}, "it has no parameter gamma; its parameters are"),
        (unnamed, {"order": ("images", "nonsense")}, "order=images,nonsense: nonsense must be one of images,"),
        (unnamed, {"order": ("mu", "mu", "std")}, "order=mu,mu,std: mu stands there twice"),
    ],
)
def test_a_doubt_is_one_line(function: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        parameters_of(function, **options)
    assert "\n" not in str(refused.value)
