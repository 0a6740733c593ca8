"""Events and actions in one short line, for logs at debug level."""

import dataclasses
from enum import Enum

from mcast.wire.identity import Identity

MAX_LINE = 300
"""Characters of a line. A list of a thousand contents is shown by its beginning."""
BYTES_SHOWN = 4
"""Of request ids, tokens and digests: enough to tell those of one log apart."""


def brief(value: object) -> str:
    """Return what an event or an action says, without the fields that have their default."""
    text = _brief(value)
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"


def _brief(value: object) -> str:
    if isinstance(value, Identity):
        return str(value)
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value[:BYTES_SHOWN].hex() or "empty"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_brief, value))}]"
    if dataclasses.is_dataclass(value):
        return _record(value)
    return repr(value)


def _record(value: object) -> str:
    assert dataclasses.is_dataclass(value)
    shown = [
        f"{field.name}={_brief(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(shown)})"
