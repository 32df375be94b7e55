"""The parameters of a loss: which one takes the images, and which one the posterior."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vae.errors import UserError

#: What a loss may take for the width of the posterior: how it follows from log_var.
SPREADS = ("log_var", "var", "log_std", "std")
ROLES = ("images", "reconstruction", "mu", *SPREADS)

#: Names of parameters by role, without underscores and without the words of `_NOISE`.
_NAMES = {
    "images": "x image images img imgs input inputs data target targets ytrue true xtrue original originals label"
    " labels batch real gt groundtruth xin inputimage inputimages originalimage originalimages observation"
    " observations obs",
    "reconstruction": "recon recons reconx xrecon reconstruction reconstructions reconstructed reconstructedx xhat hat"
    " decoded decodedx xdecoded xdecodedmean decodedmean output outputs out ypred pred preds prediction predictions y"
    " yhat logit logits xlogit xlogits logitsx reconlogits reconstructionlogits decoderlogits decoderoutput generated"
    " rec xrec recx xprime reconstructedimage reconstructedimages reconimages imagesrecon xr probs probabilities",
    "mu": "mu mus mean means zmean zmu loc m",
    "log_var": "logvar logvars lv logvariance zlogvar logsigma2 logsigmasq logsigmasquared logsquaredsigma",
    "var": "var variance sigma2 sigmasq sigmasquared",
    "log_std": "logstd logsigma logstddev logscale",
    "std": "std stddev sigma sigmas scale standarddeviation",
}
_ROLE_OF = {name: role for role, names in _NAMES.items() for name in names.split()}
_NOISE = {"z", "q", "qz", "latent", "latents", "encoder", "enc", "posterior", "vector"}


def role_of(name: str) -> str | None:
    """Return the role that the name of a parameter suggests, or None."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    kept = [word for word in words if word and word not in _NOISE]
    return _ROLE_OF.get("".join(kept))


@dataclass(frozen=True)
class Parameters:
    """How a loss is called.

    Args:
        names: the name of the parameter for each role, in the order of the call.
        constants: other arguments, by name.
        by_position: whether the roles are passed by position, because the function takes them as `*args`.
    """

    names: Mapping[str, str]
    constants: Mapping[str, Any]
    by_position: bool = False

    @property
    def spread(self) -> str:
        """The role of the parameter for the posterior's width, one of `SPREADS`."""
        return next(role for role in self.names if role in SPREADS)

    def call(self, function: Callable[..., Any], tensors: Mapping[str, Any]) -> Any:
        """Return what the function returns for tensors by role."""
        if self.by_position:
            return function(*(tensors[role] for role in self.names), **self.constants)
        return function(**{name: tensors[role] for role, name in self.names.items()}, **self.constants)


def parameters_of(
    function: Callable[..., Any],
    told: Mapping[str, str] | None = None,
    order: Sequence[str] = (),
    constants: Mapping[str, Any] | None = None,
) -> Parameters:
    """Return how to call a loss.

    Args:
        function: the loss.
        told: the name of the parameter for each role that the user gave. The names of others without a default are
            recognised.
        order: the roles by position, for a function whose parameters have no names of their own.
        constants: values of further parameters, by name.

    Raises:
        UserError: naming the parameter or the role that is missing, unknown or doubtful.
    """
    told, constants = dict(told or {}), dict(constants or {})
    if order:
        words = f"order={','.join(order)}"
        for role in order:
            if order.count(role) > 1:
                raise UserError(f"{words}: {role} stands there twice")
        _check_roles(dict(zip(order, order, strict=True)), words)
        return Parameters(dict(zip(order, order, strict=True)), constants, by_position=True)
    try:
        parameters = inspect.signature(getattr(function, "forward", function)).parameters.values()
    except (TypeError, ValueError) as error:
        raise UserError(f"its parameters cannot be read: give --order={_EXAMPLE}") from error
    names = [each.name for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    open_ended = any(each.kind is each.VAR_KEYWORD for each in parameters)
    unknown = [name for name in (*told.values(), *constants) if name not in names]
    if unknown and not open_ended:
        raise UserError(f"it has no parameter {unknown[0]}; its parameters are {', '.join(names) or '*args'}")
    if any(each.kind is each.POSITIONAL_ONLY for each in parameters):
        raise UserError(f"its parameters have no names that a call could use: give --order={_EXAMPLE}")
    required = [each.name for each in parameters if each.name in names and each.default is each.empty]
    found = {name: role for role, name in told.items()}
    for name in required:
        if name not in found and name not in constants:
            found[name] = _recognised(name, told)
    by_role: dict[str, str] = {}
    for name, role in found.items():
        if role in by_role:
            first = by_role[role]
            raise UserError(
                f"{first} and {name} both look like {role}: say which by --{role.replace('_', '-')}={first}"
            )
        by_role[role] = name
    _check_roles(by_role, f"parameters {', '.join(names) or '*args'}")
    return Parameters(by_role, constants)


def _recognised(name: str, told: Mapping[str, str]) -> str:
    """Return the role that the name of a parameter suggests, unless the user gave that role to another."""
    if name == "self":
        raise UserError("it is a method: make an instance in the file and name that, as my_code.py:model.loss")
    role = role_of(name)
    if role is None or role in told or (role in SPREADS and any(other in SPREADS for other in told)):
        listed = ", ".join(f"--{role.replace('_', '-')}" for role in ROLES)
        raise UserError(
            f"parameter {name} is not recognised: say what it takes by one of {listed}, as --mu={name}, or give it a "
            f"value, as {name}=1.0"
        )
    return role


_EXAMPLE = "images,reconstruction,mu,log_var"


def _check_roles(names: Mapping[str, str], what: str) -> None:
    unknown = [role for role in names if role not in ROLES]
    if unknown:
        raise UserError(f"{what}: {unknown[0]} must be one of {', '.join(ROLES)}")
    spreads = [role for role in names if role in SPREADS]
    if len(spreads) > 1:
        first, second = (names[role] for role in spreads[:2])
        raise UserError(f"{first} and {second} both look like the posterior's width: name one, as --log-var={first}")
    if "mu" not in names or not spreads:
        raise UserError(
            f"{what}: the posterior is missing; name the mean by --mu and its width by --log-var, --var, --log-std or "
            f"--std, or the roles in order by --order={_EXAMPLE}"
        )
    if ("images" in names) != ("reconstruction" in names):
        missing = "reconstruction" if "images" in names else "images"
        raise UserError(f"{what}: no parameter for {missing} found; name it by --{missing}")
