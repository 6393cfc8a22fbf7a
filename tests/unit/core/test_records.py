"""The canonical form of a record; pairs of records are in tests/cases/core/records."""

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deftunes.core.records import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value: Any, rng: Random) -> Any:
    """The same value with the keys of every object in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key], rng) for key in rng.sample(sorted(value), len(value))}
    return [shuffled(inner, rng) for inner in value] if isinstance(value, list) else value


@settings(max_examples=50)
@given(VALUES, st.randoms(use_true_random=False))
def test_neither_the_order_of_keys_nor_white_space_is_content(value: Any, rng: Random) -> None:
    plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    other = json.dumps(shuffled(value, rng), indent=1).replace("\n", " ").encode()

    assert canonical(plain) == canonical(other)
    assert json.loads(canonical(plain)) == value


def test_a_number_too_long_for_an_int_is_its_own_form() -> None:
    record = b'{"n":%b}' % (b"9" * 5000)

    assert b"9" * 5000 in canonical(record)
