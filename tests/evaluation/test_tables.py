"""The table that evaluate.py prints."""

from pathlib import Path

import pytest

from vae.evaluation import print_quantities, progress_bar

QUANTITIES = {
    "split": "test",
    "images": 1234,
    "elbo": -90.1234,
    "reconstruction": 70.0,
    "kl": 20.1234,
    "nll": 88.5,
    "nll_error": 0.9127,
    "nll_effective_samples": 123.45,
    "nll_kind": "probability",
    "nll_samples": 500,
    "mutual_information": 6.5,
    "mutual_information_error": 0.07,
    "mutual_information_lower": 6.4,
    "mutual_information_upper": 6.6,
    "marginal_kl": 13.6234,
    "marginal_kl_error": 0.08,
    "bits_per_dim": 0.16285,
    "active_units": 3,
    "kl_per_latent": [0.001, 12.0, 5.0, 3.1224],
}


def test_the_table_has_every_quantity(capsys: pytest.CaptureFixture[str]) -> None:
    print_quantities(QUANTITIES, [Path("run/evaluation.json")])
    printed = capsys.readouterr().out
    for fact in ("test split, 1,234 images", "-90.123", "70.000", "20.123", "88.500", "500 importance samples"):
        assert fact in printed
    for fact in (
        "88.500 ± 1.789",
        "± is half of a 95 % confidence interval",
        "6.500 ± 0.137",
        "13.623 ± 0.157",
        "0.1628",
        "3 of 4",
        "12.00 5.00 3.12 0.00",
        "wrote run/evaluation.json",
    ):
        assert fact in printed


def test_an_nll_that_rests_on_few_samples_is_not_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    print_quantities(QUANTITIES, [])
    printed = capsys.readouterr().out
    assert "123.5 of 500" in printed
    assert "the NLL is too high" not in printed
    print_quantities({**QUANTITIES, "nll_effective_samples": 3.3}, [])
    assert "the NLL is too high, and by how much is not known" in capsys.readouterr().out
    print_quantities({**QUANTITIES, "nll_effective_samples": 1.0, "nll_samples": 1}, [])  # as was asked for
    assert "the NLL is too high" not in capsys.readouterr().out


def test_the_inference_gap_has_a_table_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """With the number of images that it is of, which may be another one. A single image has no interval."""
    figures = {
        "encoder_elbo": -93.5,
        "optimized_elbo": -91.25,
        "optimized_nll": 90.125,
        "amortization_gap": 2.25,
        "approximation_gap": 1.125,
        "inference_gap": 3.375,
    }
    errors = {f"{name}_error": 0.5 for name in figures}
    print_quantities({**QUANTITIES, **figures, **errors, "gap_images": 100, "gap_steps": 2000}, [])
    printed = capsys.readouterr().out
    assert "first 100 images, 2,000 steps" in printed
    for value in figures.values():
        assert f" {value:.3f} ± 0.980 " in printed
    single = dict.fromkeys(errors)
    print_quantities({**QUANTITIES, **figures, **single, "gap_images": 1, "gap_steps": 2000}, [])
    assert " 3.375 │" in capsys.readouterr().out


def test_a_mutual_information_that_is_not_resolved_is_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = dict.fromkeys(
        ("mutual_information", "mutual_information_error", "marginal_kl", "marginal_kl_error"), None
    )
    bounds = {"mutual_information_lower": 7.118, "mutual_information_upper": 20.1234}
    print_quantities({**QUANTITIES, **unknown, **bounds}, [])
    printed = capsys.readouterr().out
    assert "7.118 to 20.123" in printed
    assert "not known" in printed
    assert "log 1,234 = 7.118" in printed


@pytest.mark.parametrize(
    ("kind", "named", "reconstruction"),
    [
        ("density", "NLL of a density, 500", "-log p(x|z)"),
        ("cross_entropy", "cross-entropy bound, no NLL, 500", "cross-entropy"),
        ("rounded", "NLL of the images rounded to the model's levels, 500", "-log p(x|z)"),
        ("unknown", "NLL, 500", "-log p(x|z)"),
    ],
)
def test_what_is_no_probability_is_named_and_has_no_bits(
    kind: str, named: str, reconstruction: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    print_quantities({**QUANTITIES, "nll_kind": kind, "bits_per_dim": None}, [])
    printed = capsys.readouterr().out
    assert f"│ {named} importance samples " in printed
    assert f"│ reconstruction, {reconstruction} " in printed
    assert "bits per dimension" not in printed


def test_no_progress_bar_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(3) as advance:
        advance(1.5)
    assert capsys.readouterr().out == ""
