"""The arguments of the commands that are not Hydra's."""

import pytest

from vae.parsing import named_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("null", None),
        ("8", 8),
        ("1e-3", 1e-3),
        ("reverse", "reverse"),
        ("[1, 2]", [1, 2]),
        ("(1, 2)", (1, 2)),
        ("", ""),
    ],
)
def test_an_argument_is_what_it_looks_like(text: str, value: object) -> None:
    assert named_value(f"name={text}", "the loss") == ("name", value)
