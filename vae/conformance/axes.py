"""The check of axes of length 1, at which a wrong broadcast raises no error."""

from vae.conformance.reference import DIVERGENCES, Gaussians, canonical
from vae.conformance.subject import AGREES, SkippedError, Subject
from vae.conformance.verdict import Verdict

_SHAPES = ((4, 1), (1, 5), (1, 1))


def keep_their_place(subject: Subject) -> Verdict:
    """Check the value for one latent variable, for one example, and for one of each against the exact KL."""
    if not subject.agrees:
        raise SkippedError("its value is not the exact one for several of each")
    cases = [Gaussians.drawn(*shape) for shape in _SHAPES]
    pairs = [(subject.mean(case), canonical(DIVERGENCES[subject.direction](case))) for case in cases]
    wrong = [(*pair, shape) for pair, shape in zip(pairs, _SHAPES, strict=True) if not pair[0].near(pair[1], AGREES)]
    value, exact, shape = wrong[0] if wrong else (*pairs[0], _SHAPES[0])
    advice = (
        f"it is wrong for parameters of shape {shape}, and right for longer axes: is an axis of length 1 squeezed, by "
        "tf.squeeze or a Keras loss class, so that (batch, 1) and (batch,) broadcast to (batch, batch)?"
    )
    return Verdict(not wrong, str(value), f"{exact:.4g} within {AGREES:.0%}", advice)
