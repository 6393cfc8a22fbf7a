"""The month that every tool is asked for."""

from datetime import date

START, END = date(2026, 1, 1), date(2026, 2, 1)
