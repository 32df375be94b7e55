"""The labelled runs of benchmarks/diagnosis.py: options, the rules that must fire, and those that may."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """A run and what is known about it by its construction.

    Args:
        options: its overrides of `train.py`.
        must: the rules that must fire; empty for a healthy run.
        may: further rules that are right, too, and do not count.
    """

    options: tuple[str, ...]
    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


def _healthy(options: str, epochs: int = 20) -> Label:
    return Label((*options.split(), f"trainer.epochs={epochs}"))


def _planted(options: str, must: str, may: str = "", epochs: int = 12) -> Label:
    chosen = (*options.split(), f"trainer.epochs={epochs}")
    return Label(chosen, frozenset(must.split()), frozenset(may.split()))


_GREY = "likelihood=gaussian data.binarization=none"
_BLOG = "experiment=recipe/old_keras_blog data=digits"
_RAW = "blind negative hardly_weighed misdirected"

TUNING = {
    "default": _healthy(""),
    "two epochs": _healthy("", epochs=2),
    "1 latent": _healthy("latent.size=1"),
    "192 latents": _healthy("latent.size=192"),
    "600 latents": _healthy("latent.size=600"),
    "backend": _healthy("kl=backend"),
    "backend histogram": _healthy("kl=backend kl.support=histogram"),
    "keras_loss calibrated": _healthy("kl=keras_loss kl.calibrate=true"),
    "keras_loss unreduced": _healthy("kl=keras_loss kl.reduction=none"),
    "keras_loss 1 latent": _healthy("kl=keras_loss latent.size=1"),
    "monte_carlo": _healthy("kl=monte_carlo"),
    "renyi": _healthy("kl=renyi"),
    "jensen_shannon": _healthy("kl=jensen_shannon"),
    "jensen_shannon grey": _healthy(f"kl=jensen_shannon {_GREY} likelihood.scale=learned"),
    "tc": _healthy("kl=tc"),
    "mmd 1000": _healthy("kl=mmd beta.value=1000"),
    "reverse": _healthy("kl.direction=reverse"),
    "symmetric": _healthy("kl.direction=symmetric"),
    "categorical": _healthy("latent=categorical"),
    "bernoulli": _healthy("latent=bernoulli"),
    "mixture": _healthy("prior=mixture kl=monte_carlo"),
    "vamp": _healthy("prior=vamp kl=monte_carlo"),
    "free bits": _healthy("objective.free_bits=0.5"),
    "capacity": _healthy("objective.capacity=10"),
    "grey, learned scale": _healthy(f"{_GREY} likelihood.scale=learned"),
    "linear": _healthy("beta=linear beta.length=10"),
    "beta 784 over 2": _planted(f"{_BLOG} data.binarization=none", "collapsed_by_weight"),
    "beta 50, 600 latents": _planted("beta.value=50 latent.size=600", "collapsed_by_weight"),
    "backend beta 50, 600 latents": _planted("kl=backend beta.value=50 latent.size=600", "collapsed_by_weight"),
    "keras_loss sum": _planted("kl=keras_loss kl.reduction=sum", "collapsed_by_weight"),
    "categorical beta 50": _planted("latent=categorical beta.value=50", "collapsed_by_weight"),
    "mixture beta 50": _planted("prior=mixture kl=monte_carlo beta.value=50", "collapsed_by_weight", epochs=40),
    "scale 5": _planted(f"{_GREY} likelihood.scale=5", "collapsed_by_itself"),
    "scale 5, 600 latents": _planted(f"{_GREY} likelihood.scale=5 latent.size=600", "collapsed_by_itself"),
    "monte_carlo scale 5": _planted(f"{_GREY} likelihood.scale=5 kl=monte_carlo", "collapsed_by_itself"),
    "linear unfinished": _planted("beta=linear beta.length=500", "never_warmed_up"),
    "keras_loss": _planted("kl=keras_loss", "hardly_weighed"),
    "keras_loss 2 latents": _planted("kl=keras_loss latent.size=2", "hardly_weighed"),
    "keras_loss 600 latents": _planted("kl=keras_loss latent.size=600", "hardly_weighed"),
    "keras_loss reverse": _planted("kl=keras_loss kl.direction=reverse", "hardly_weighed"),
    "keras_loss histogram": _planted("kl=keras_loss kl.support=histogram", "hardly_weighed"),
    "mmd 1": _planted("kl=mmd", "hardly_weighed"),
    "histogram 8 bins": _planted(
        "kl=backend kl.support=histogram kl.points=8 beta.value=0.05", "saturated_histogram", _RAW, epochs=25
    ),
    "histogram 12 bins": _planted(
        "kl=backend kl.support=histogram kl.points=12 beta.value=0.02", "saturated_histogram", _RAW, epochs=40
    ),
    "raw": _planted("kl=raw", "blind negative", _RAW, epochs=20),
    "raw softmax": _planted("kl=raw kl.form=softmax", "misdirected", _RAW),
    "raw log_var": _planted("kl=raw kl.form=log_var", "blind", _RAW),
}

HELD_OUT = {
    "default, seed 1": _healthy("seed=1", epochs=30),
    "one epoch": _healthy("seed=2", epochs=1),
    "2 latents": _healthy("latent.size=2 seed=1"),
    "50 latents": _healthy("latent.size=50 seed=1"),
    "600 latents, seed 1": _healthy("latent.size=600 seed=1", epochs=6),
    "backend 192 latents": _healthy("kl=backend latent.size=192 seed=1"),
    "histogram 50 latents": _healthy("kl=keras_loss_calibrated kl.support=histogram latent.size=50 seed=1"),
    "keras_loss sum calibrated": _healthy("kl=keras_loss kl.reduction=sum kl.calibrate=true seed=1"),
    "monte_carlo 600 latents": _healthy("kl=monte_carlo latent.size=600 seed=1"),
    "monte_carlo reverse": _healthy("kl=monte_carlo kl.direction=reverse seed=1"),
    "renyi 0.9, 50 latents": _healthy("kl=renyi kl.alpha=0.9 seed=1 latent.size=50"),
    "jensen_shannon 50 latents": _healthy("kl=jensen_shannon latent.size=50 seed=1", epochs=40),
    "tc 50 latents": _healthy("kl=tc latent.size=50 seed=1"),
    "mmd 1000, 2 latents": _healthy("kl=mmd beta.value=1000 latent.size=2 seed=1"),
    "reverse grey": _healthy(f"kl=backend kl.direction=reverse {_GREY} likelihood.scale=learned seed=1"),
    "symmetric 50 latents": _healthy("kl=keras_loss_calibrated kl.direction=symmetric latent.size=50 seed=1"),
    "categorical backend": _healthy("latent=categorical kl=backend latent.size=50 seed=1"),
    "bernoulli unreduced": _healthy("latent=bernoulli kl=keras_loss kl.reduction=none seed=1"),
    "mixture 2 latents": _healthy("prior=mixture kl=monte_carlo latent.size=2 seed=1"),
    "vamp 50 latents": _healthy("prior=vamp kl=monte_carlo latent.size=50 seed=1"),
    "against collapse": _healthy("experiment=against_collapse seed=1"),
    "capacity 25": _healthy("objective.capacity=25 beta.value=10 seed=1"),
    "cyclical": _healthy("beta=cyclical beta.length=5 seed=1"),
    "beta 0.25": _healthy("beta.value=0.25 seed=1"),
    "listing 8.26": _healthy("experiment=recipe/deep_learning_with_python data=digits seed=1"),
    "grey, scale 0.3": _healthy(f"{_GREY} likelihood.scale=0.3 latent.size=50 seed=1"),
    "beta 100, 1 latent": _planted("beta.value=100 latent.size=1 seed=1", "collapsed_by_weight"),
    "beta 784 over 192": _planted("beta.value=784 latent.size=192 seed=1", "collapsed_by_weight"),
    "keras_loss sum, 50 latents": _planted(
        "kl=keras_loss kl.reduction=sum latent.size=50 seed=1", "collapsed_by_weight"
    ),
    "bernoulli beta 100": _planted("latent=bernoulli beta.value=100 seed=1", "collapsed_by_weight"),
    "monte_carlo beta 100": _planted("kl=monte_carlo beta.value=100 seed=1", "collapsed_by_weight"),
    "renyi beta 100": _planted("kl=renyi beta.value=100 seed=1", "collapsed_by_weight"),
    "reverse beta 100": _planted("kl.direction=reverse beta.value=100 seed=1", "collapsed_by_weight"),
    "scale 10, 1 latent": _planted(f"{_GREY} likelihood.scale=10 latent.size=1 seed=1", "collapsed_by_itself"),
    "backend scale 5": _planted(f"{_GREY} likelihood.scale=5 kl=backend latent.size=50 seed=1", "collapsed_by_itself"),
    "categorical scale 5": _planted(f"{_GREY} likelihood.scale=5 latent=categorical seed=1", "collapsed_by_itself"),
    "cosine unfinished": _planted("beta=cosine beta.length=40 seed=1", "never_warmed_up", epochs=20),
    "linear unfinished, 50 latents": _planted(
        "beta=linear beta.length=15 latent.size=50 kl=backend seed=1", "never_warmed_up"
    ),
    "keras_loss mean, 50 latents": _planted("kl=keras_loss kl.reduction=mean latent.size=50 seed=1", "hardly_weighed"),
    "keras_loss 192 latents": _planted("kl=keras_loss latent.size=192 seed=1", "hardly_weighed"),
    "keras_loss categorical": _planted("kl=keras_loss latent=categorical seed=1", "hardly_weighed"),
    "keras_loss bernoulli": _planted("kl=keras_loss latent=bernoulli seed=1", "hardly_weighed"),
    "keras_loss free bits": _planted("kl=keras_loss objective.free_bits=0.01 seed=1", "hardly_weighed"),
    "keras_loss symmetric": _planted("kl=keras_loss kl.direction=symmetric latent.size=50 seed=1", "hardly_weighed"),
    "mmd 1, 50 latents": _planted("kl=mmd latent.size=50 seed=1", "hardly_weighed"),
    "histogram 6 bins": _planted(
        "kl=backend kl.support=histogram kl.points=6 beta.value=0.1 seed=1", "saturated_histogram", _RAW, epochs=25
    ),
    "keras_loss histogram 8 bins": _planted(
        "kl=keras_loss kl.support=histogram kl.points=8 latent.size=50 seed=1",
        "saturated_histogram hardly_weighed",
        _RAW,
        epochs=25,
    ),
    "raw 50 latents": _planted("kl=raw latent.size=50 seed=1", "blind negative", _RAW, epochs=20),
    "raw reverse": _planted("kl=raw kl.direction=reverse seed=1", "blind", _RAW),
    "raw softmax, 50 latents": _planted("kl=raw kl.form=softmax latent.size=50 seed=1", "misdirected", _RAW),
    "raw log_var, 2 latents": _planted("kl=raw kl.form=log_var latent.size=2 seed=1", "blind", _RAW),
    "keras_loss mean_with_sample_weight": _planted(
        "kl=keras_loss kl.reduction=mean_with_sample_weight latent.size=2 seed=2", "hardly_weighed"
    ),
    "raw, seed 2": _planted("kl=raw seed=2", "blind negative", _RAW, epochs=20),
    "raw 192 latents": _planted("kl=raw latent.size=192 seed=2", "blind negative", _RAW, epochs=20),
    "raw softmax, seed 2": _planted("kl=raw kl.form=softmax seed=2", "misdirected", _RAW),
    "raw softmax, 192 latents": _planted("kl=raw kl.form=softmax latent.size=192 seed=2", "misdirected", _RAW),
}
