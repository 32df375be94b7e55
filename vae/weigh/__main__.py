"""What a VAE loss weighs: python -m vae.weigh my_code.py:loss."""

import argparse
import ast
import sys
from collections.abc import Sequence
from typing import Any

from vae.errors import UserError
from vae.weigh.measurement import BATCH, LATENTS, weigh
from vae.weigh.parameters import ROLES
from vae.weigh.target import load
from vae.weigh.terminal import show

_ROLE_HELP = {
    "images": "the images",
    "reconstruction": "what the decoder returns: probabilities, logits or means",
    "mu": "the posterior's mean",
    "log_var": "the logarithm of its variance",
    "var": "its variance",
    "log_std": "the logarithm of its standard deviation",
    "std": "its standard deviation",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 if the loss could be measured.

    Args:
        arguments: the arguments of the command line; None for those of this process.
    """
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    try:
        constants = dict(_argument(text) for text in options.arguments)
        loss, imports = load(options.target)
        parameters = {role: name for role in ROLES if (name := getattr(options, role)) is not None}
        report = weigh(
            loss,
            parameters=parameters,
            order=options.order,
            constants=constants,
            shape=options.shape,
            latents=options.latents,
            batch=options.batch,
            output=options.output,
            imports=imports,
        )
    except UserError as error:
        print(f"vae.weigh: {error}", file=sys.stderr)
        return 1
    show(options.target, report)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m vae.weigh",
        description="Measure what a VAE loss in NumPy, PyTorch, TensorFlow, JAX or Keras weighs. The file is imported.",
    )
    parser.add_argument("target", metavar="FILE.py:LOSS", help="a function, or a class or object that is called")
    parser.add_argument("arguments", metavar="NAME=VALUE", nargs="*", default=[], help="a further argument of the loss")
    names = parser.add_argument_group("parameters whose names are not recognised")
    for role in ROLES:
        names.add_argument(f"--{role.replace('_', '-')}", metavar="NAME", help=f"takes {_ROLE_HELP[role]}")
    names.add_argument(
        "--order", metavar="ROLES", type=_words, default=(), help="what a loss with *args takes, as images,mu,..."
    )
    sizes = parser.add_argument_group("sizes")
    sizes.add_argument("--shape", type=_sizes, help="of an image, as 28,28,1 or 784")
    sizes.add_argument("--latents", type=_sizes, default=LATENTS, help="number of latent variables (default 16)")
    sizes.add_argument("--batch", type=int, default=BATCH, help="number of examples (default %(default)s)")
    parser.add_argument("--output", metavar="NAME", help="which of several returned values is the loss; sum for all")
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace("-", "_").split(","))


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(word) for word in text.split(","))
    if not all(size > 0 for size in sizes):
        raise ValueError
    return sizes


def _argument(text: str) -> tuple[str, Any]:
    """Return name and value of `name=value`: a Python literal or a string."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"{text}: give a further argument of the loss as NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


if __name__ == "__main__":
    sys.exit(main())
