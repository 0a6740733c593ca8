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

words = st.text(max_size=30) | st.from_regex(r"[0-9a-f.:/%-]{0,20}", fullmatch=True)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 1 << 64])
READERS: list[Callable[[str], object]] = [
    lambda text: parse_networks([text]),
    MediaPorts.parse,
    options.check_content,
    options.check_neighbour,
    options.check_start,
]


@pytest.mark.parametrize("read", READERS, ids=["networks", "ports", "content", "neighbour", "start"])
@given(text=words)
def test_any_word_is_taken_or_refused(read: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(ConfigError):
        read(text)


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
