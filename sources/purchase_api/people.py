"""The shop's users: who they are and what was known of them when. A pure function of the seed."""

import json
import uuid
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from operator import attrgetter
from random import Random

from purchase_api import times

# (latitude, longitude, place, country code, time zone), all as text, as the API sends them.
Location = tuple[str, str, str, str, str]

_FIRST_NAMES = (
    "Ada", "Aino", "Alejandra", "Amélie", "Björn", "Chidi", "Chloé", "Dmitri", "Elif", "Emma", "Fatima", "Giulia",
    "Håkon", "Hiroshi", "Ingrid", "Jean-Luc", "João", "Kwame", "Lars", "Li", "Lucía", "Mateo", "Mei", "Mohammed",
    "Niamh", "Noah", "Olga", "Priya", "Quentin", "Ravi", "Sarah", "Søren", "Thị Mai", "Uma", "Václav", "Wanjiru",
    "Xóchitl", "Yusuf", "Zoë", "Zbigniew",
)  # fmt: skip
_LAST_NAMES = (
    "Abe", "Almeida", "Andersson", "Bauer", "Brown", "Chen", "D'Angelo", "de la Cruz", "Dvořák", "Eriksen",
    "Fernández", "García", "Haddad", "Ivanova", "Jensen", "Kim", "Kovács", "Łukasik", "Martin", "Müller", "Nguyễn",
    "O'Connor", "Okafor", "Patel", "Peña", "Quinn", "Rossi", "Saint-Pierre", "Schmidt", "Singh", "Tanaka", "Tremblay",
    "Usman", "van den Berg", "Weiß", "Williams", "Şahin", "Zhang",
)  # fmt: skip
_LOCATIONS: tuple[Location, ...] = (
    ("40.71427", "-74.00597", "New York City", "US", "America/New_York"),
    ("34.05223", "-118.24368", "Los Angeles", "US", "America/Los_Angeles"),
    ("41.85003", "-87.65005", "Chicago", "US", "America/Chicago"),
    ("29.76328", "-95.36327", "Houston", "US", "America/Chicago"),
    ("47.60621", "-122.33207", "Seattle", "US", "America/Los_Angeles"),
    ("39.73915", "-104.9847", "Denver", "US", "America/Denver"),
    ("43.70011", "-79.4163", "Toronto", "CA", "America/Toronto"),
    ("45.50884", "-73.58781", "Montréal", "CA", "America/Toronto"),
    ("19.42847", "-99.12766", "Mexico City", "MX", "America/Mexico_City"),
    ("-23.5475", "-46.63611", "São Paulo", "BR", "America/Sao_Paulo"),
    ("-34.61315", "-58.37723", "Buenos Aires", "AR", "America/Argentina/Buenos_Aires"),
    ("4.60971", "-74.08175", "Bogotá", "CO", "America/Bogota"),
    ("51.50853", "-0.12574", "London", "GB", "Europe/London"),
    ("53.48095", "-2.23743", "Manchester", "GB", "Europe/London"),
    ("53.33306", "-6.24889", "Dublin", "IE", "Europe/Dublin"),
    ("48.85341", "2.3488", "Paris", "FR", "Europe/Paris"),
    ("45.74846", "4.84671", "Lyon", "FR", "Europe/Paris"),
    ("52.52437", "13.41053", "Berlin", "DE", "Europe/Berlin"),
    ("50.93333", "6.95", "Köln", "DE", "Europe/Berlin"),
    ("40.4165", "-3.70256", "Madrid", "ES", "Europe/Madrid"),
    ("41.89193", "12.51133", "Roma", "IT", "Europe/Rome"),
    ("52.37403", "4.88969", "Amsterdam", "NL", "Europe/Amsterdam"),
    ("55.67594", "12.56553", "København", "DK", "Europe/Copenhagen"),
    ("59.32938", "18.06871", "Stockholm", "SE", "Europe/Stockholm"),
    ("52.22977", "21.01178", "Warszawa", "PL", "Europe/Warsaw"),
    ("50.08804", "14.42076", "Praha", "CZ", "Europe/Prague"),
    ("41.01384", "28.94966", "İstanbul", "TR", "Europe/Istanbul"),
    ("30.06263", "31.24967", "Cairo", "EG", "Africa/Cairo"),
    ("6.45407", "3.39467", "Lagos", "NG", "Africa/Lagos"),
    ("-1.28333", "36.81667", "Nairobi", "KE", "Africa/Nairobi"),
    ("19.07283", "72.88261", "Mumbai", "IN", "Asia/Kolkata"),
    ("39.9075", "116.39723", "Beijing", "CN", "Asia/Shanghai"),
    ("35.6895", "139.69171", "Tokyo", "JP", "Asia/Tokyo"),
    ("37.566", "126.9784", "Seoul", "KR", "Asia/Seoul"),
    ("1.28967", "103.85007", "Singapore", "SG", "Asia/Singapore"),
    ("-33.86785", "151.20732", "Sydney", "AU", "Australia/Sydney"),
    ("-36.84853", "174.76349", "Auckland", "NZ", "Pacific/Auckland"),
    ("64.13548", "-21.89541", "Reykjavík", "IS", "Atlantic/Reykjavik"),
)

HISTORY = 10 * 365 * times.DAY  # from the opening of the shop
_SHARE_OF_CHANGING = 0.4
_YEAR = 365 * times.DAY


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user from one instant until the next profile."""

    since: int
    name: str
    lastname: str
    location: Location


@dataclass(frozen=True, slots=True)
class Person:
    """A user with the whole past and future. Buys from `active_from`; listed from `user_since`, which may be later."""

    user_id: str
    user_since: int
    since_text: str
    active_from: int
    profiles: tuple[Profile, ...]

    def at(self, now: int) -> Profile:
        """The profile that is known at `now`."""
        return self.profiles[max(0, bisect_right(self.profiles, now, key=attrgetter("since")) - 1)]

    def record(self, now: int) -> dict[str, object]:
        """As the API sends it at `now`."""
        profile = self.at(now)
        return {
            "user_id": self.user_id,
            "user_name": profile.name,
            "user_lastname": profile.lastname,
            "user_location": list(profile.location),
            "user_since": self.since_text,
        }


class People:
    """All users of a shop that opens on `start`."""

    def __init__(self, seed: int, count: int, start: date) -> None:
        opening = times.midnight(start)
        self.everyone = [_person(seed, number, opening) for number in range(count)]
        self._by_activity = sorted(self.everyone, key=attrgetter("active_from"))
        rng = Random(f"{seed}/strangers")
        # Buyers that /users never lists.
        self.strangers = [make_uuid(rng) for _ in range(5)]

    def buyers(self, day: date) -> list[Person]:
        """Who may buy on a day; at least one wherever there is a user at all."""
        count = bisect_right(self._by_activity, times.midnight(day), key=attrgetter("active_from"))
        return self._by_activity[:count]

    def listed(self, now: int) -> list[Person]:
        """Whom /users lists at `now`."""
        return [person for person in self.everyone if person.user_since <= now]


def write_record(record: object) -> bytes:
    """A record as compact JSON."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def make_uuid(rng: Random) -> str:
    """A version 4 UUID that `rng` decides."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _person(seed: int, number: int, opening: int) -> Person:
    rng = Random(f"{seed}/user/{number}")
    style = rng.randrange(len(times.STYLES))
    # The first one is there from the beginning, so that no day lacks a buyer.
    early = number == 0 or rng.random() < 0.7  # noqa: PLR2004 - the rest join in the shop's first year
    since = times.cut(opening - rng.randrange(3 * _YEAR) - 1 if early else opening + rng.randrange(_YEAR), style)
    ahead = rng.randrange(60 * times.DAY) if rng.random() < 0.1 else 0  # noqa: PLR2004 - bought before they joined
    name, lastname, location = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES), _choose_location(rng)
    user_id = make_uuid(rng)
    profiles = [Profile(since, name, lastname, location)]
    if rng.random() < _SHARE_OF_CHANGING:
        at = max(since, opening) + int(rng.expovariate(1) * _YEAR)
        while at < opening + HISTORY:
            if rng.random() < 0.3:  # noqa: PLR2004
                lastname = rng.choice(_LAST_NAMES)
            else:
                location = _choose_location(rng)
            profiles.append(Profile(at, name, lastname, location))
            at += times.DAY + int(rng.expovariate(1) * _YEAR)
    return Person(user_id, since, times.write(since, style), since - ahead, tuple(profiles))


def _choose_location(rng: Random) -> Location:
    return _LOCATIONS[int(len(_LOCATIONS) * rng.random() ** 1.5)]
