"""A core's life as JSON lines: what is read back is what was written, and a replay decides the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from hypothesis import given

from mcast.overlay import actions as do
from mcast.overlay import events as ev
from mcast.overlay import trace
from mcast.overlay.trace import Json, TraceError, decode, encode, replay, seed_of
from mcast.wire.endpoint import Endpoint
from mcast.wire.node import MissReason
from overlay import strategies
from overlay.scenarios import disasters
from overlay.sim_node import SimNode
from overlay.simulation import Network
from tools import replay_trace


def written(value: object) -> object:
    return decode(json.loads(json.dumps(encode(value))))


def lines_of(node: SimNode) -> list[Json]:
    """Return what a simulated node would have written to its trace."""
    first = trace.header(node.me, rendezvous=node.core.rendezvous, seed=node.seed)
    steps = [trace.step(now, event, actions) for now, event, actions in node.steps]
    return [json.loads(json.dumps(line)) for line in (first, *steps)]


def chance_of(lines: Sequence[Json]) -> Random:
    return Random(seed_of(lines[0]))


@pytest.fixture(scope="module")
def recorded() -> Network:
    """Return a network in which two viewers watched, all nodes writing down what they decide."""
    net = Network([("rp", "n1"), ("n1", "n2"), ("n2", "rp")], seed=3, records=True)
    first, _ = net.client("n1"), net.client("n2", after=0.1)
    net.client("n1", content="nothing")
    net.settle()
    first.leave()
    net.run(1)
    net.nodes["n1"].stop()
    net.run(1)
    return net


@given(strategies.events)
def test_every_event_is_read_back_as_it_was_written(event: ev.Event) -> None:
    assert written(event) == event


@given(strategies.actions)
def test_every_action_is_read_back_as_it_was_written(action: do.Action) -> None:
    assert written(action) == action


def test_the_strategies_know_every_event_and_every_action() -> None:
    assert set(strategies.EVENT_PARTS) == set(get_args(ev.Event))
    assert set(strategies.ACTION_PARTS) == set(get_args(do.Action))


def test_an_address_in_a_trace_is_read_as_it_was_written() -> None:
    here = Endpoint.of("10.0.0.1", 5000)
    assert written(here) == here


def test_what_is_no_value_of_the_overlay_cannot_be_written() -> None:
    with pytest.raises(TypeError, match="cannot hold"):
        encode(object())


@pytest.mark.parametrize("name", ["rp", "n1", "n2"])
def test_a_recorded_node_decides_the_same_again(recorded: Network, name: str) -> None:
    lines = lines_of(recorded.nodes[name])
    assert len(lines) > 20
    assert list(replay(lines, chance_of(lines))) == []


def test_a_recorded_client_decides_the_same_again_its_random_ids_included(recorded: Network) -> None:
    for viewer in recorded.viewers:
        lines = lines_of(viewer.node)
        assert any("Ask" in json.dumps(line) for line in lines)
        assert list(replay(lines, chance_of(lines))) == []


def test_nodes_that_went_through_disasters_decide_the_same_again() -> None:
    run = disasters(4, records=True)
    run.play()
    for node in run.net.nodes.values():
        lines = lines_of(node)
        assert list(replay(lines, chance_of(lines))) == []


def test_a_changed_decision_is_told_with_its_line_and_both_sides(recorded: Network) -> None:
    lines = lines_of(recorded.nodes["n1"])
    at = next(number for number, line in enumerate(lines) if number and line["actions"])
    changed = do.CloseRelay("something else")
    lines[at] = {**lines[at], "actions": [encode(changed)]}
    (difference,) = replay(lines, chance_of(lines))
    assert (difference.line, difference.recorded) == (at + 1, (changed,))
    assert difference.event == decode(lines[at]["event"])
    assert difference.replayed


HEADER = {"trace": 1, "me": {"type": "Identity", "kind": {"enum": "IdentityKind", "name": "NODE"},
          "value": {"bytes": "6e31"}}, "rendezvous": False, "seed": "00"}  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["no header"],
        [{"trace": 99, "seed": "00"}],
        [{"trace": 1}],
        [{**HEADER, "seed": "no digits"}],
        [{**HEADER, "me": "n1"}],
        [{key: value for key, value in HEADER.items() if key != "me"}],
        [HEADER, 7],
        [HEADER, {"at": 0}],
        [HEADER, {"at": 0, "event": {"type": "Nothing"}, "actions": []}],
        [HEADER, {"at": 0, "event": {"type": "Unwanted"}, "actions": []}],
        [HEADER, {"at": 0, "event": {"type": "CloseRelay", "content": "news"}, "actions": []}],
        [HEADER, {"at": "then", "event": {"type": "TimePassed"}, "actions": []}],
        [HEADER, {"at": 0, "event": {"enum": "MissReason", "name": "WHIM"}, "actions": []}],
        [HEADER, {"at": 0, "event": {"bytes": "xyz"}, "actions": []}],
        [HEADER, {"at": 0, "event": {"nothing": "known"}, "actions": []}],
    ],
    ids=str,
)
def test_what_is_no_trace_gives_one_clear_error(lines: list[Json]) -> None:
    with pytest.raises(TraceError):
        list(replay(lines, Random(0)))


# The tool for people


def write(path: Path, lines: Sequence[Json], end: str = "\n") -> str:
    path.write_text("\n".join(json.dumps(line) for line in lines) + end)
    return str(path)


def test_the_tool_says_that_nothing_differs(
    recorded: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(recorded.nodes["n1"])
    assert replay_trace.main([write(tmp_path / "trace", lines)]) == 0
    assert capsys.readouterr().out == f"{len(lines) - 1} steps, 0 differences\n"


def test_the_tool_reads_a_trace_whose_program_was_killed_in_its_last_line(
    recorded: Network, tmp_path: Path
) -> None:
    lines = lines_of(recorded.nodes["n1"])
    assert replay_trace.main([write(tmp_path / "trace", lines, '\n{"at": 3.2, "ev')]) == 0


def test_the_tool_prints_each_difference(
    recorded: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = lines_of(recorded.nodes["n1"])
    at = next(number for number, line in enumerate(lines) if number and len(line["actions"]) > 1)
    lines[at]["actions"].reverse()
    following = next(number for number in range(at + 1, len(lines)) if lines[number]["actions"])
    lines[following]["actions"] = [encode(do.CloseRelay("other"))]
    assert replay_trace.main([write(tmp_path / "trace", lines)]) == 1
    told = capsys.readouterr().out
    assert f"line {at + 1}: " in told
    assert "the same actions in another order" in told
    assert f"line {following + 1}: " in told
    assert "  - CloseRelay(content='other')" in told
    assert told.endswith(", 2 differences\n")


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"{}\n", b"\xff\xfe\n", b'{"trace": 1}\n{\n{}\n'], ids=repr
)
def test_the_tool_refuses_what_is_no_trace(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    assert replay_trace.main([str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"replay_trace: error: {path} is no trace: ")


def test_the_tool_says_why_a_file_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_trace.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"replay_trace: error: {tmp_path / 'none'}: No such file or directory\n"


def test_reasons_are_written_by_name() -> None:
    assert encode(MissReason.BUSY) == {"enum": "MissReason", "name": "BUSY"}
