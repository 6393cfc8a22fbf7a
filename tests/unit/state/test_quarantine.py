"""What makes two texts in quarantine one record."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from deftunes.core.entities import Entity
from deftunes.state.quarantine import identity

SONG = {"track_id": "TR1", "title": None, "duration": 0.0002, "year": 1999}


@pytest.mark.parametrize(
    "text",
    [
        '{"track_id": "TR1", "title": null, "duration": 2.0E-4, "year": 1999}',  # as Java writes it
        '{"year":1999,"duration":0.0002,"track_id":"TR1"}',
        '{"track_id": "TR1", "title": null, "duration": 0.00020, "year": 1999}',
    ],
)
def test_a_song_is_its_values(text: str) -> None:
    assert identity(Entity.SONGS, text) == identity(Entity.SONGS, json.dumps(SONG))


@pytest.mark.parametrize(
    "other", [{"duration": 0.0003}, {"title": ""}, {"title": "x"}, {"year": "1999"}, {"duration": "0.0002"}]
)
def test_another_value_is_another_song(other: dict[str, Any]) -> None:
    assert identity(Entity.SONGS, json.dumps(SONG | other)) != identity(Entity.SONGS, json.dumps(SONG))


def test_a_zero_has_no_sign() -> None:
    zero, negative = (json.dumps(SONG | {"duration": value}) for value in (0.0, -0.0))
    assert identity(Entity.SONGS, zero) == identity(Entity.SONGS, negative)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 40))
def test_however_a_number_is_written(number: float, digits: int) -> None:
    written = json.dumps(SONG | {"duration": 1}).replace('"duration": 1', f'"duration": {number:.{digits + 17}e}')
    assert identity(Entity.SONGS, written) == identity(Entity.SONGS, json.dumps(SONG | {"duration": number}))


@pytest.mark.parametrize("entity", [Entity.USERS, Entity.SESSIONS])
def test_digits_of_the_api_are_content(entity: Entity) -> None:
    assert identity(entity, '{"a": 1.10, "b": 2}') == identity(entity, '{"b":2,"a":1.10}')
    assert identity(entity, '{"a": 1.10}') != identity(entity, '{"a": 1.1}')
    assert identity(entity, "no JSON") != identity(entity, "no  JSON")
