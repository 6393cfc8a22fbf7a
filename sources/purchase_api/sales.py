"""The sessions of a day: who bought what when, and from when that is known. A pure function of seed and day."""

from collections.abc import Iterator
from datetime import date
from random import Random
from typing import NamedTuple

from purchase_api import times
from purchase_api.people import People
from purchase_api.tracks import Assortment, Track

# From a session's start until nothing of it changes any more: the longest delay of a late session and of a changed
# like. The pipeline's default look-back covers it.
SETTLED_AFTER = 3 * times.DAY

CURRENCIES = ("USD",) * 13 + ("EUR",) * 5 + ("GBP",) * 2
# (cents, as the shop writes it): zeros at the end are sometimes there and sometimes not.
PRICES = (
    (49, "0.49"), (69, "0.69"), (79, "0.79"), (80, "0.8"), (89, "0.89"), (90, "0.90"), (99, "0.99"), (99, "0.99"),
    (99, "0.99"), (100, "1"), (100, "1.0"), (100, "1.00"), (109, "1.09"), (119, "1.19"), (129, "1.29"), (129, "1.29"),
    (149, "1.49"), (150, "1.5"), (150, "1.50"), (199, "1.99"),
)  # fmt: skip
_AGENTS = (
    "DeFtunes/4.2 (iPhone; iOS 13.3)",
    "DeFtunes/4.1 (Android 10; Pixel 3a)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:72.0) Gecko/20100101 Firefox/72.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_2) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945 Safari/537.36",
    'Hi-Fi "Living Room" Player\\1.0',
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1)",
    "",
)
_AGENTS_JSON = tuple('"' + agent.replace("\\", "\\\\").replace('"', '\\"') + '"' for agent in _AGENTS)


class Item(NamedTuple):
    """One sale. It is liked from `liked_at` until `unliked_at`; None: never."""

    track: Track
    cents: int
    price: str
    currency: str
    liked_at: int | None
    unliked_at: int | None
    style: int


class Session(NamedTuple):
    """One visit. It happens at `start`, and the API knows of it from `known_from`, for some days later."""

    session_id: str
    user_id: str
    agent: int
    start: int
    known_from: int
    style: int
    items: tuple[Item, ...]


def sessions_of(seed: int, day: date, per_day: int, people: People, assortment: Assortment) -> Iterator[Session]:
    """The sessions that start on a UTC day: `per_day` of them, give or take a fifth.

    Every day with two sessions or more has one at its first instant and one at its last microsecond.
    """
    rng = Random(f"{seed}/sessions/{day.isoformat()}")
    random, bits = rng.random, rng.getrandbits
    begin = times.midnight(day)
    buyers = people.buyers(day)
    strangers = people.strangers
    known, rare = assortment.known, assortment.rare
    for number in range(round(per_day * (0.8 + 0.4 * random()))):
        digits = f"{bits(128):032x}"
        session_id = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
        choice = bits(64)
        style = choice % len(times.STYLES)
        if number == 0:
            start = begin
        elif number == 1:
            style = times.MICROSECOND_STYLES[choice % len(times.MICROSECOND_STYLES)]
            start = begin + times.DAY - 1
        else:
            start = times.cut(begin + int(random() * times.DAY), style)
        late = number > 1 and random() < 0.01  # noqa: PLR2004
        known_from = start + times.DAY + int(random() * 2 * times.DAY) if late else start
        if buyers and choice >> 57:
            user_id = buyers[int(len(buyers) * random())].user_id
        else:
            user_id = strangers[int(len(strangers) * random())]
        currency = CURRENCIES[(choice >> 8) % len(CURRENCIES)]
        items: list[Item] = []
        # One session in twenty is a visit without a sale.
        wanted = int(random() * 7) if random() < 0.95 else 0  # noqa: PLR2004
        for _ in range(wanted):
            if items and random() < 0.03:  # noqa: PLR2004 - two equal items of a session are two sales
                items.append(items[-1])
                continue
            detail = bits(48)
            popular = known[int(len(known) * random() * random())]
            track = popular if detail & 0x7F else rare[(detail >> 8) % len(rare)]
            cents, price = PRICES[(detail >> 16) % len(PRICES)]
            like = _like(start, random(), random())
            items.append(Item(track, cents, price, currency, *like, (detail >> 32) % len(times.STYLES)))
        agent = (choice >> 16) % len(_AGENTS)
        yield Session(session_id, user_id, agent, start, known_from, style, tuple(items))


def _like(bought_at: int, mood: float, moment: float) -> tuple[int | None, int | None]:
    """When an item is liked and when no more: before it was bought, after, or never."""
    if mood < 0.03:  # noqa: PLR2004
        return bought_at - times.DAY, bought_at + int(moment * SETTLED_AFTER)
    if mood < 0.2:  # noqa: PLR2004
        return bought_at - int(moment * 30 * times.DAY), None
    if mood < 0.28:  # noqa: PLR2004
        return bought_at + int(moment * SETTLED_AFTER), None
    return None, None


def write_session(session: Session, now: int) -> bytes:
    """A session as the API sends it at `now`."""
    items = ",".join([_write_item(item, now) for item in session.items])
    start = times.write(session.start, session.style)
    return (
        f'{{"user_id":"{session.user_id}","session_id":"{session.session_id}","session_items":[{items}],'
        f'"user_agent":{_AGENTS_JSON[session.agent]},"session_start_time":"{start}"}}'
    ).encode()


def _write_item(item: Item, now: int) -> str:
    liked_at, unliked_at = item.liked_at, item.unliked_at
    if liked_at is None or now < liked_at or (unliked_at is not None and unliked_at <= now):
        like = 'false,"liked_since":null'
    else:
        like = f'true,"liked_since":"{times.write(liked_at, item.style)}"'
    return f'{{{item.track.fragment},"price":{item.price},"currency":"{item.currency}","liked":{like}}}'
