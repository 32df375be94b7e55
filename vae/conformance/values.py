"""Checks of the values: a divergence, of the right size in every direction, neither biased nor capped."""

from collections.abc import Callable

from vae.conformance.mistakes import probable_mistake
from vae.conformance.reference import DIVERGENCES, Gaussians, canonical
from vae.conformance.subject import AGREES, CASES, ERRORS, SkippedError, Subject
from vae.conformance.verdict import SAME, Verdict

AT_PRIOR = 0.01  # the largest value at the prior, in nats: our quadrature misses 6e-5 per latent variable
MANY_DRAWS = 4000
_CLOSE = Gaussians.equal(0.2, 0.0)  # 0.02 nats, of which the mean of four single draws has a deviation of 0.1
_ROUNDING = 1e-5  # of float32, in nats: the least standard error


def is_zero_at_the_prior(subject: Subject) -> Verdict:
    """Check that the divergence of the prior from itself is 0."""
    value = subject.mean(CASES[0].prior)
    advice = "if posterior and prior are equal, a divergence is 0: is a constant left out, such as the -1?"
    return Verdict(value.near(0.0, AT_PRIOR), str(value), "0", advice)


def is_not_negative(subject: Subject) -> Verdict:
    """Check that the divergence is not negative for any posterior."""
    posteriors = [(0.3, 0.7), (0.3, -0.5), (-1.0, 0.0), (-0.5, -3.0)]
    values = [*subject.on_cases, *(subject.mean(Gaussians.equal(mu, log_var)) for mu, log_var in posteriors)]
    lowest = min(values, key=lambda estimate: estimate.value + ERRORS * estimate.error)
    advice = "a divergence is never negative: is the sign reversed, or are its arguments not probabilities?"
    return Verdict(lowest.value >= -AT_PRIOR - ERRORS * lowest.error, str(lowest), "0 or more", advice)


def agrees(direction: str) -> Callable[[Subject], Verdict]:
    """Return the check that the value in a direction is the exact one, on batches of different sizes."""

    def check(subject: Subject) -> Verdict:
        directed = subject.in_direction(direction)
        estimates = directed.on_cases
        pairs = [(each, canonical(DIVERGENCES[direction](case))) for each, case in zip(estimates, CASES, strict=True)]
        worst, expected = max(pairs, key=lambda pair: abs(pair[0].value / pair[1] - 1.0))
        values, errors = [each.value for each in estimates], [each.error for each in estimates]
        advice = "" if directed.agrees else probable_mistake(direction, CASES, values, errors)
        return Verdict(directed.agrees, str(worst), f"{expected:.4g} within {AGREES:.0%}", advice)

    return check


def is_unbiased(subject: Subject) -> Verdict:
    """Check that the mean over many draws is within four standard errors; by chance one in 16,000 is not.

    Close to the prior, too, where an estimate is often negative and a clip at 0 shows.
    """
    if not subject.samples:
        raise SkippedError("it draws no samples: neither z nor the key changes it")
    judged = []
    for case in (CASES[0], _CLOSE):
        mean, exact = subject.mean(case, MANY_DRAWS), canonical(DIVERGENCES[subject.direction](case))
        judged.append((mean, exact, (mean.value - exact) / max(mean.error, _ROUNDING)))
    mean, exact, errors = max(judged, key=lambda each: abs(each[2]))
    advice = _advice_on_bias(subject.direction, errors)
    return Verdict(abs(errors) <= 4.0, str(mean), f"{exact:.4g} within 4 errors", advice)


def _advice_on_bias(direction: str, errors: float) -> str:
    """Return the probable mistake of an estimate whose mean is so many standard errors off, by the sign."""
    added, subtracted = {"forward": ("q(z|x)", "p(z)"), "reverse": ("p(z)", "q(z|x)")}.get(
        direction, ("the first density", "the second density")
    )
    if errors > 0.0:
        side = "above"
        cause = (
            "is a maximum, an absolute value or a square taken of a noisy estimate, as by a clip at 0? Or is "
            f"{subtracted} a mean over draws or the batch before its logarithm is taken"
        )
    else:
        side = "below"
        cause = f"is {added}, or a ratio, a mean over draws or the batch before its logarithm is taken"
    return (
        f"the mean over {MANY_DRAWS} draws is {abs(errors):.0f} standard errors {side} the exact value: {cause}? By "
        "Jensen's inequality the logarithm of an estimated density is too low on average. If neither, do the samples "
        "come from the distribution that the expectation is under, with equal weights?"
    )


def is_not_capped(subject: Subject) -> Verdict:
    """Check the growth from mu = 2 to mu = 8: in every direction the exact values are 2 and 32 nats."""
    near, far = (subject.mean(Gaussians.equal(mu, 0.0)) for mu in (2.0, 8.0))
    if near.near(0.0, SAME):
        raise SkippedError("it is 0 at mu = 2 already")
    growth = far.value / near.value
    advice = (
        "a posterior far from the prior counts too little: is something clipped? keras.losses.kl_divergence clips "
        "probabilities to [1e-7, 1], so that no latent variable counts for more than 16.118 nats"
    )
    return Verdict(growth > 0.9 * 16.0, f"{far}, {growth:.3g}-fold", "32, 16-fold", advice)
