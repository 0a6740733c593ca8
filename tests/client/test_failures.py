"""What becomes of the core's values: errors with a line for the user."""

from typing import Any

import pytest

from mcast.client.failures import search_error, stop_error
from mcast.client.options import Options
from mcast.errors import NotFoundError, UnreachableError
from mcast.hostport import HostPort
from mcast.net.ports import MediaPorts
from mcast.overlay.actions import SearchFailure
from mcast.wire.node import MissReason, Start, Stop, StopReason


def options(*ports: int) -> Options:
    return Options(
        neighbours=tuple(HostPort("10.0.0.1", port) for port in ports or (5000,)), content="news",
        latency_ms=500, patience=10.0, give_up=10.0, start=Start.KEYFRAME, media_ports=MediaPorts(),
        queue_bytes=1, trace=None,
    )  # fmt: skip


def stop(reason: StopReason, **fields: Any) -> Stop:
    return Stop(request=bytes(16), content="news", reason=reason, **fields)


def test_absent_is_not_found() -> None:
    error = search_error(options(), SearchFailure(MissReason.ABSENT, "", 1))
    assert isinstance(error, NotFoundError)
    assert "no server that answers has the content 'news'" in str(error)


@pytest.mark.parametrize(("tries", "said"), [(1, "in 1 try"), (3, "in 3 tries")])
def test_no_way_names_the_neighbour_the_tries_and_the_reason(tries: int, said: str) -> None:
    error = search_error(options(), SearchFailure(MissReason.CUT, "because", tries))
    assert isinstance(error, UnreachableError)
    assert str(error) == f"no way to the content 'news' through 10.0.0.1:5000 {said} (cut because)"


@pytest.mark.parametrize(
    ("ports", "text", "said"),
    [
        ((1,), "nobody answers at 10.0.0.1:1: refused", "nobody answers at 10.0.0.1:1: refused"),
        ((1,), "", "nobody answers at 10.0.0.1:1"),
        ((1,), "it hung up", "nobody answers at 10.0.0.1:1: it hung up"),
        ((1, 2), "no answer", "nobody answers at 10.0.0.1:1 or 10.0.0.1:2: no answer"),
    ],
)
def test_nobody_names_each_neighbour_once_and_the_time(ports: tuple[int, ...], text: str, said: str) -> None:
    error = search_error(options(*ports), SearchFailure(MissReason.CUT, text, 0, unreachable=True))
    assert isinstance(error, UnreachableError)
    assert str(error) == f"{said} (tried for 10 s): is mcast-node running there?"


def test_a_content_that_is_over_is_no_error() -> None:
    assert stop_error(options(), stop(StopReason.END, last=9)) is None


@pytest.mark.parametrize("reason", [each for each in StopReason if each is not StopReason.END])
def test_any_other_end_is_one_with_its_reason(reason: StopReason) -> None:
    error = stop_error(options(), stop(reason, text="because"))
    assert str(error) == f"the stream of 'news' has ended: {reason.name.lower()} because"


def test_the_end_of_a_stream_names_what_seemed_to_be_wrong_with_the_way() -> None:
    error = stop_error(options(), stop(StopReason.CUT, text="no media for 5 s"), "no UDP: a firewall?")
    assert str(error) == "the stream of 'news' has ended: cut no media for 5 s; no UDP: a firewall?"
