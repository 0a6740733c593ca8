"""Check the values of a TOML or JSON file; complaints name the file and the key."""

import difflib
from collections.abc import Mapping, Sequence
from typing import NoReturn

from mcast.errors import ConfigError


class TableChecks:
    """What the readers of configuration files are based on. No method raises anything but ConfigError.

    A key is the path to a value, as in `nodes.n3.neighbours`; "" is the file as a whole.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def only_keys(self, key: str, table: Mapping[str, object], allowed: Sequence[str]) -> None:
        """Refuse unknown keys: a misspelled one must not be silently ignored."""
        for name in table:
            if name not in allowed:
                self.fail(inside(key, name), unknown_key(name, allowed))

    def required(self, key: str, table: Mapping[str, object], name: str, what: str) -> object:
        """Return the value of a key that must be there; `what` says what it should hold."""
        if name not in table:
            self.fail(inside(key, name), f"is missing: {what}")
        return table[name]

    def no_duplicates(self, key: str, texts: Sequence[str]) -> None:
        """Refuse a list that holds something twice."""
        seen: set[str] = set()
        for text in texts:
            if text in seen:
                self.fail(key, f"{text!r} is there twice")
            seen.add(text)

    def table(self, key: str, value: object) -> Mapping[str, object]:
        """Return a value that must be a table."""
        if not isinstance(value, Mapping):
            self.fail(key, f"is {_kind(value)}, expected a table")
        return value

    def entries(self, key: str, value: object, expected: str = "a list") -> list[object]:
        """Return a value that must be a list."""
        if not isinstance(value, list):
            self.fail(key, f"is {_kind(value)}, expected {expected}")
        return value

    def texts(self, key: str, value: object, expected: str = "a list") -> list[str]:
        """Return a value that must be a list of texts."""
        return [self.text(key, entry) for entry in self.entries(key, value, expected)]

    def text(self, key: str, value: object, expected: str = "text") -> str:
        """Return a value that must be text."""
        if not isinstance(value, str):
            self.fail(key, f"{value!r} is {_kind(value)}, expected {expected}")
        return value

    def flag(self, key: str, value: object) -> bool:
        """Return a value that must be true or false."""
        if not isinstance(value, bool):
            self.fail(key, f"{value!r} is {_kind(value)}, expected true or false")
        return value

    def number(self, key: str, value: object, least: int, most: int) -> int:
        """Return a value that must be a whole number from `least` to `most`."""
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"{value!r} is {_kind(value)}, expected a whole number")
        if not least <= value <= most:
            self.fail(key, f"{value} is not from {least} to {most}")
        return value

    def choice(self, key: str, value: object, known: Sequence[str]) -> str:
        """Return a value that must be one of a few words."""
        if not isinstance(value, str) or value not in known:
            self.fail(key, f"{value!r} is none of {', '.join(map(repr, known))}")
        return value

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise ConfigError; its text begins with the file and the key."""
        raise ConfigError(f"{self._source}: {key}: {problem}") from None


def inside(key: str, name: str) -> str:
    """Return the path to a value of the table that a path leads to."""
    return f"{key}.{name}" if key else name


def unknown_key(name: str, known: Sequence[str]) -> str:
    """Say that there is no such key, and which one was meant, or which ones there are."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
    return f"unknown key; {hint}"


def some(names: Mapping[str, object] | Sequence[str], most: int = 12) -> str:
    """Return a list of names for people, of which no more than `most` are shown."""
    shown = list(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case Mapping():
            return "a table"
        case None:
            return "nothing"
        case _:
            return f"a {type(value).__name__}"
