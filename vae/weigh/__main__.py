"""What a VAE loss weighs: python -m vae.weigh my_code.py:loss."""

import argparse
import sys
from collections.abc import Sequence

import vae
from vae.errors import INTERRUPTED_STATUS, UserError
from vae.parsing import Parser, named_value
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
    try:
        options = _parser().parse_intermixed_args(arguments)
        constants = dict(named_value(text, "the loss") for text in options.arguments)
    except UserError as error:
        return _refuse(error)
    try:
        loss, imports = load(options.target)
        report = weigh(
            loss,
            parameters={role: name for role in ROLES if (name := getattr(options, role)) is not None},
            order=options.order,
            constants=constants,
            shape=options.shape,
            latents=options.latents,
            batch=options.batch,
            output=options.output,
            imports=imports,
        )
    except UserError as error:
        return _refuse(UserError(f"{options.target}: {error}"))
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    show(options.target, report)
    return 0


def _refuse(error: UserError) -> int:
    print(f"vae.weigh: {error}", file=sys.stderr)
    return error.status


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "python -m vae.weigh",
        description="Measure what a VAE loss in NumPy, PyTorch, TensorFlow, JAX or Keras weighs. The file is imported.",
    )
    parser.add_argument("--version", action="version", version=f"vae {vae.__version__}")
    parser.add_argument("target", metavar="FILE.py:LOSS", help="a function, or a class or object that is called")
    parser.add_argument("arguments", metavar="NAME=VALUE", nargs="*", default=[], help="a further argument of the loss")
    names = parser.add_argument_group("parameters whose names are not recognised")
    for role in ROLES:
        names.add_argument(f"--{role.replace('_', '-')}", metavar="NAME", help=f"takes {_ROLE_HELP[role]}")
    names.add_argument(
        "--order", metavar="ROLES", type=_words, default=(), help="what a loss with *args takes, as images,mu,..."
    )
    sizes = parser.add_argument_group("sizes")
    sizes.add_argument("--shape", metavar="SIZES", type=_sizes, help="of an image as the loss takes it, as 28,28,1")
    sizes.add_argument("--latents", metavar="SIZES", type=_sizes, default=LATENTS, help="of mu, as 16, the default")
    sizes.add_argument(
        "--batch", metavar="SIZE", type=_size, default=BATCH, help="of the batch, %(default)s by default"
    )
    parser.add_argument("--output", metavar="NAME", help="which of several returned values is the loss; sum for all")
    return parser


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace("-", "_").split(","))


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_size(word) for word in text.split(","))


def _size(text: str) -> int:
    if not text.strip().isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: give whole numbers above 0, as 28,28,1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
