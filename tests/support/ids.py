"""Well-formed ids of made-up things, by number."""


def user_id(number: int) -> str:
    """A user's, as the Purchase API writes them."""
    return f"00000000-0000-4000-8000-{number:012d}"


def session_id(number: int) -> str:
    """A session's, as the Purchase API writes them."""
    return f"00000000-0000-4000-9000-{number:012d}"


def track_id(number: int) -> str:
    """A track's, as the song catalogue and the Purchase API write them."""
    return f"TR{number:016d}"


def artist_id(number: int) -> str:
    """An artist's, as the song catalogue and the Purchase API write them."""
    return f"AR{number:016d}"
