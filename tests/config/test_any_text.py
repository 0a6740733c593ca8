"""Whatever an operator writes: it is taken, or refused in one line that says what is wrong."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcast.client import options
from mcast.config.key_file import LEAST_KEY, read_key_file
from mcast.config.networks import parse_networks
from mcast.errors import ConfigError
from mcast.net.ports import MediaPorts
from mcast.wire.content import MAX_CONTENT_NAME

words = st.text(max_size=30) | st.from_regex(r"[0-9a-f.:/%-]{0,20}", fullmatch=True)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1 << 64])

# Each reads a word, checks what it was taken for, and writes that.


def networks(text: str) -> str:
    read = parse_networks([text])
    assert len(read.networks) == 1
    return str(read)


def ports(text: str) -> str:
    read = MediaPorts.parse(text)
    assert 1 <= read.low <= read.high <= 65_535
    return str(read)


def content(text: str) -> str:
    read = options.check_content(text)
    assert 1 <= len(read.encode()) <= MAX_CONTENT_NAME
    return read


def neighbour(text: str) -> str:
    read = options.check_neighbour(text)
    assert read.host
    assert 1 <= read.port <= 65_535
    return str(read)


def start(text: str) -> str:
    return options.check_start(text).name.lower()


NEARLY: dict[Callable[[str], str], tuple[str, list[str]]] = {  # in form, and the edges
    networks: (r"10\.[0-9.]{1,6}/[0-9]{1,2}|::[0-9a-f]{0,4}/[0-9]{1,3}", ["fe80::1%2", "::/0", "0.0.0.0/0"]),
    ports: (r"[0-9]{1,5}(-[0-9]{1,5})?", ["1-65535", " 7 ", "2-1", "0-9"]),
    content: (r"[a-z\n]{0,5}|x{250,260}", ["", "é", "\udc80"]),
    neighbour: (r"[a-z]{0,3}:[0-9]{1,5}", [":1", "[::1]:1", "[fe80::1%2]:1", "a:0", "a:65535"]),
    start: (r"[Ll][Ii][Vv][Ee]", ["keyframe", "live ", "ſtart"]),
}


@pytest.mark.parametrize("read", NEARLY)
@settings(max_examples=120)
@given(data=st.data())
def test_any_word_is_refused_or_taken_for_what_can_be_written_and_read_again(
    read: Callable[[str], str], data: st.DataObject
) -> None:
    form, edges = NEARLY[read]
    text = data.draw(st.sampled_from(edges) | st.from_regex(form, fullmatch=True) | words)
    written = None
    with contextlib.suppress(ConfigError):
        written = read(text)
    if written is not None:
        assert read(written) == written


@given(numbers)
def test_any_number_is_taken_or_refused(number: float) -> None:
    with contextlib.suppress(ConfigError):
        assert 0 < options.check_seconds(number) < float("inf")
    if isinstance(number, int):
        with contextlib.suppress(ConfigError):
            assert 0 <= options.check_latency(number) <= options.MAX_LATENCY_MS
        with contextlib.suppress(ConfigError):
            assert options.check_queue(number) >= 1


LINES = st.sampled_from([b"\n", b"#", b"ab" * 32, b"zz" * 20, b"QUJD" * 12, b" "])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    data=st.binary(max_size=300)
    | st.lists(LINES, max_size=8).map(b"".join)
)  # fmt: skip
def test_any_key_file_holds_keys_long_enough_or_is_refused_without_showing_one(
    tmp_path: Path, data: bytes
) -> None:
    file = tmp_path / "key"
    file.write_bytes(data)
    try:
        ring = read_key_file(file)
    except ConfigError as error:
        assert "abab" not in str(error)  # noqa: PT017
        return
    assert all(len(key) >= LEAST_KEY for key in ring.keys)
