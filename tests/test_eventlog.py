"""Events: one list of names and fields, in the code and in the operators' page."""

import logging
import re
from pathlib import Path

import pytest

from mcast.eventlog import EVENTS, event_extra, note, plain
from mcast.hostport import HostPort
from mcast.roles.logs import JSON_KEYS
from mcast.wire.identity import Identity

OPERATIONS = Path(__file__).parents[1] / "docs" / "operations.md"
SOURCES = Path(__file__).parents[1] / "src"

logger = logging.getLogger("mcast.test")


def documented() -> dict[str, tuple[str, ...]]:
    """Return the events of the page's table: `| \\`name\\` | \\`field\\`, \\`field\\` | ... |`."""
    page = OPERATIONS.read_text(encoding="utf-8").partition("### Events")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE)
    return {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows}


def test_the_operators_page_lists_every_event_with_its_fields() -> None:
    assert documented() == EVENTS


def test_no_field_hides_what_a_line_says_of_itself() -> None:
    assert not {field for fields in EVENTS.values() for field in fields} & {*JSON_KEYS, "peer"}


def test_every_event_that_the_programs_name_is_listed() -> None:
    named = set()
    for file in SOURCES.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        named |= set(re.findall(r"event_extra\(\s*\"(\w+)\"", text))
        named |= set(re.findall(r"\bnote\(\s*logger,\s*\"(\w+)\"", text))
    assert "joined" in named
    assert named <= EVENTS.keys()


def test_a_note_is_a_sentence_and_an_event(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    note(logger, "left", "%s has left", "c1", extra={"peer": "p"}, content="earth", reason="STOP")
    (made,) = caplog.records
    assert (made.message, made.filename) == ("c1 has left", Path(__file__).name)
    said = {key: made.__dict__[key] for key in ("event", "fields", "peer")}
    assert said == {"event": "left", "fields": {"content": "earth", "reason": "STOP"}, "peer": "p"}


@pytest.mark.parametrize(
    ("event", "fields"),
    [("flown", {}), ("left", {}), ("left", {"content": "a", "reason": "b", "when": 1})],
)
def test_an_unknown_event_and_wrong_fields_are_bugs(event: str, fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=event):
        event_extra(event, **fields)


def test_fields_become_what_json_has() -> None:
    path = (Identity.node("rp"), Identity.node("n1"))
    assert plain(path) == ["rp", "n1"]
    assert plain([HostPort("10.0.0.1", 5000)]) == ["10.0.0.1:5000"]
    assert plain(b"\x01\xff") == "01ff"
    assert [plain(value) for value in (1, 2.5, True, None, "x")] == [1, 2.5, True, None, "x"]
