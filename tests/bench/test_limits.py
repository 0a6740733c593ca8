"""A node that more ask than it can bear: how those fare who were there first."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.relays import limits
from bench.relays.children import Child, Loop
from bench.relays.loads import LOSS, MOST_LOSS
from bench.relays.nodes import Node
from bench.relays.receivers import Counts, Progress
from bench.relays.setting import Needs, Setting
from bench.relays.sources import Sources
from mcast.hostport import HostPort

SPAN = 1_000


class Sink:
    """The children of all contents; those of the first get this share of what the others get."""

    def __init__(self, share: float) -> None:
        first = round(share * SPAN * limits.CHILDREN)
        each = [
            Progress(rtp, SPAN, 60.0) for rtp in (first, *[SPAN * limits.CHILDREN] * (limits.CONTENTS - 1))
        ]
        self.counts = Counts(0, tuple(each))

    def take(self) -> Counts:
        return self.counts


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    contents = [f"c{number}" for number in range(limits.CONTENTS)]
    overlay = SimpleNamespace(addresses={"n1": HostPort("127.0.0.1", 1)}, contents=contents)
    monkeypatch.setattr(Setting, "overlay", overlay)
    process = contextlib.nullcontext(SimpleNamespace(pid=os.getpid()))
    monkeypatch.setattr(Node, "started", lambda *_: process)
    monkeypatch.setattr(limits, "subscribed", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(limits, "settle_seconds", lambda _: 0.0)
    monkeypatch.setattr(limits, "HOLD_SECONDS", 0.05)
    made = Setting(tmp_path, Sources(tmp_path), Needs(contents=limits.CONTENTS), seconds=0.1)
    yield made
    made.close()


def besieged(setting: Setting, monkeypatch: pytest.MonkeyPatch, share: float, taken: int) -> dict[str, float]:
    def ask(_: Loop, children: list[Child]) -> None:
        for child in children[:taken]:
            child.has_joined = True

    monkeypatch.setattr(limits, "ask", ask)
    monkeypatch.setattr(limits, "sink", lambda *_: contextlib.nullcontext(Sink(share)))
    return dict(limits.besieged(Node(), setting))


def test_what_is_judged_is_the_loss_of_those_who_were_there_first(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = besieged(setting, monkeypatch, share=0.9, taken=590)
    assert found[LOSS] == pytest.approx(0.1)
    assert (found[limits.TAKEN], found[limits.REFUSED]) == (590.0, 100.0 * (limits.CONTENTS - 1) - 590)
    assert besieged(setting, monkeypatch, share=1.0, taken=590)[LOSS] == 0.0


def test_a_node_that_takes_in_all_and_loses_nothing_was_not_at_its_limit(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = 100 * (limits.CONTENTS - 1)
    with pytest.raises(RuntimeError, match="that was not its limit"):
        besieged(setting, monkeypatch, share=1.0, taken=everybody)
    assert besieged(setting, monkeypatch, share=0.7, taken=everybody)[LOSS] > MOST_LOSS
