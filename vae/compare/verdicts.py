"""Differences between configurations, paired by seed, with a verdict on each, and the conclusions in words."""

from collections.abc import Collection

import pandas as pd

from vae.compare.comparison import Comparison, computed_once
from vae.compare.configurations import (
    TERM_OPTIONS,
    identifying_options,
    last_epochs,
    reasons_not_to_compare,
    shared_conditions,
)
from vae.compare.frontier import frontier_gaps
from vae.compare.inference import judged
from vae.compare.margin import MARGIN
from vae.compare.pairs import At, best_exact, paired
from vae.compare.sentences import Difference, family_note, restored_note, sentence, unfinished_note
from vae.compare.table import compare, ranking
from vae.runs.quantities import QUANTITIES


@computed_once
def differences(
    comparison: Comparison,
    baseline: str | None = None,
    quantity: str = "elbo",
    margin: float = MARGIN,
    at: At = "last",
) -> pd.DataFrame:
    """Return the difference of each configuration from a baseline, paired by seed, and the verdict on it.

    Two finished runs are compared at their ends, and otherwise at the last epoch that both have. If a configuration
    has several runs of one seed, the one counts that has finished, or else has come furthest.

    Each comparison can lead to two claims: that there is a difference (paired t-test), and that the difference is
    smaller than the margin (two one-sided t-tests, Schuirmann 1987). The p-values of all claims of the table are
    corrected together by Holm's method, so that with 95 % none of its claims is false. Where both claims hold, the
    verdict is that the two are equivalent.

    Args:
        comparison: the runs, or the table of `load_runs`.
        baseline: the name of a configuration, as in `compare`; None for `default_baseline`.
        quantity: the column of `compare` to compare.
        margin: nats within which two configurations are equivalent. Quantities in other units never are.
        at: "last", or "best": each run at its epoch with the highest validation ELBO.

    Returns:
        A row for each other configuration that can be compared with the baseline (see `reasons_not_to_compare`), except
        the points of a frontier (see `frontiers`), if there are other terms:
        `configuration`; the mean `difference` over the seeds that both have; `interval`, half the width of its 95 %
        confidence interval (Student's t on the paired differences, for this comparison alone); `seeds`, the number of
        shared seeds; `p_value` and `equivalence_p_value`, corrected; `verdict`: "differs", "equivalent" or "cannot tell
        yet"; `more_seeds`, about how many would change the latter; the mean `area` between the two curves over the
        epochs that both have, in nats times epochs, with `area_interval`; `differs_from`, the epoch from which the
        curves differ up to the end (see `differs_from_index`); and `sentence`, the conclusion in words.

    Raises:
        KeyError: if there is no configuration of that name.
    """
    table = compare(comparison).set_index("configuration")
    baseline, pairs = paired(comparison, baseline, quantity, at)
    options = _options(comparison)
    others = options.loc[:, [not option.startswith(TERM_OPTIONS) for option in options]]
    only_weight_differs = (others == others.loc[baseline]).all(axis=1)
    margin = margin if QUANTITIES[quantity].in_nats else float("nan")
    judgements = judged([pair.ends for pair in pairs.values()], margin)
    rows = []
    for (name, pair), judgement in zip(pairs.items(), judgements, strict=True):
        difference = Difference(quantity, judgement, margin, only_weight_differs[name], at)
        words = sentence(table.loc[name], table.loc[baseline], difference)
        rows.append((name, *judgement, *pair.area(), pair.differs_from(), words))
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"more_seeds": "Int64", "differs_from": "Int64"})


_COLUMNS = [
    *("configuration", "difference", "interval", "seeds", "p_value", "equivalence_p_value"),
    *("verdict", "more_seeds", "area", "area_interval", "differs_from", "sentence"),
]


def default_baseline(comparison: pd.DataFrame | Comparison, among: Collection[str] | None = None) -> str:
    """Return the configuration to compare others with: the best of those with `kl=analytic`, or else of all.

    Args:
        comparison: the runs, or the table of `load_runs`.
        among: the configurations to choose from; None for all.
    """
    names = [name for name in ranking(comparison) if among is None or name in among]
    return best_exact(last_epochs(comparison), names)


@computed_once
def conclusions(
    comparison: Comparison, baseline: str | None = None, margin: float = MARGIN, quantity: str = "elbo"
) -> list[str]:
    """Return the conclusions of a comparison in sentences: the differences, or the reasons that there are none.

    Args:
        comparison: the runs, or the table of `load_runs`.
        baseline: as for `differences`. Configurations that cannot be compared with it get a baseline of their own.
        margin: as for `differences`.
        quantity: as for `differences`.

    Returns:
        What hinders a comparison; the sentences of `differences` at the last epochs, and those at the best that lead to
        another verdict; then those of `frontier_gaps`. After each of these families, what its verdicts mean together.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, conditions in shared_conditions(last_epochs(comparison)).items():
        groups.setdefault(conditions, []).append(name)
    sentences = [*reasons_not_to_compare(comparison), *restored_note(last_epochs(comparison))]
    table = compare(comparison).set_index("configuration")
    for names in groups.values():
        group_baseline = baseline if baseline in names else default_baseline(comparison, names)
        found = differences(comparison, group_baseline, quantity, margin)
        if found.empty:
            sentences.append(f"{group_baseline}: no other configuration to compare with.")
        elif (found["seeds"] < 2).all():
            sentences.append(
                f"Not enough shared seeds to compare any configuration with {group_baseline} (at least 2 needed). "
                "Add seed=0,1,2,3,4."
            )
        else:
            compared = table.loc[[group_baseline, *found["configuration"]]]
            sentences += [
                *found["sentence"],
                *unfinished_note(compared, margin),
                family_note(found, margin, "differences"),
                *_changed_at_best(found, differences(comparison, group_baseline, quantity, margin, "best"), margin),
            ]
    gaps = frontier_gaps(comparison, margin)
    if (gaps["seeds"] > 1).any():
        sentences += [*gaps["sentence"], family_note(gaps, margin, "frontier gaps")]
    return sentences


def _changed_at_best(last: pd.DataFrame, best: pd.DataFrame, margin: float) -> list[str]:
    """Return the conclusions at the best epochs that are others than those at the last; none if there are none."""
    is_changed = best["verdict"] != last["verdict"]
    if not is_changed.any():
        return []
    return [*best["sentence"][is_changed], family_note(best, margin, "differences at the best epochs")]


@computed_once
def _options(comparison: Comparison) -> pd.DataFrame:
    """Return the options that identify each configuration, as text."""
    first = last_epochs(comparison).drop_duplicates("configuration")
    return pd.DataFrame(identifying_options(first), index=first["configuration"])
