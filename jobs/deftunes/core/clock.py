"""How far the clock of a source is believed."""

from datetime import timedelta

# A landing's place in time comes from its source's clock. A clock with a wrong time zone is off by hours and does
# little harm: what it shuts out comes in within the day. One that is off by more is a mistake, not to be followed.
MAX_CLOCK_SKEW = timedelta(days=1)
