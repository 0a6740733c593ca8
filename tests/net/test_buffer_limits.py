"""What the system does not grant is said once, with the command that mends it."""

from collections.abc import Iterator

import pytest

from mcast.net import buffer_limits
from mcast.net.buffer_limits import RECEIVE_LIMIT, SEND_LIMIT, warn_of_limit


@pytest.fixture(autouse=True)
def told_anew() -> Iterator[None]:
    buffer_limits._warn.cache_clear()
    yield
    buffer_limits._warn.cache_clear()


def test_each_limit_is_told_once_and_again_where_twice_as_much_is_needed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for needed in (600_000, 610_000, 1_000_000):
        warn_of_limit(RECEIVE_LIMIT, 425_984, needed)
    for _ in range(2):
        warn_of_limit(SEND_LIMIT, 425_984, 2_200_000)
    warn_of_limit(RECEIVE_LIMIT, 425_984, 2_000_000)
    assert [record.getMessage().partition("sysctl")[2] for record in caplog.records] == [
        " -w net.core.rmem_max=524288",
        " -w net.core.wmem_max=2097152",
        " -w net.core.rmem_max=1048576",
    ]


def test_what_it_names_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    for exponent in range(14, 26):
        for needed in (2**exponent - 2, 2**exponent, 2**exponent + 2):
            buffer_limits._warn.cache_clear()
            warn_of_limit(RECEIVE_LIMIT, 0, needed)
            limit = int(caplog.records[-1].getMessage().rpartition("=")[2])
            assert needed <= 2 * limit < 2 * needed + 4, "the kernel grants twice the limit"
