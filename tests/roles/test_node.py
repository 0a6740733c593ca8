import logging
from collections.abc import Iterator

import pytest

from mcast.hostport import HostPort
from mcast.roles.node.main import _listening_address, main
from mcast.wire.bootstrap import LayoutMessage, NodeKind


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """`main` configures logging for a whole process."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--name", "n" * 65], "1 to 64 bytes, not 65"),
        (["--name", "a\nb"], "printable"),
        (["--name", "a\udcff"], "no UTF-8 text"),
        (["--address", "host"], "has no port"),
        (["--media-ports", "x"], "--media-ports"),
        (["--parents", "3"], "--parents"),
        (["--forward-threads", "0"], "no whole number from 1 to"),
        (["--workers", "0"], "'0' is no number of processes from 1 to 64"),
        (["--workers", "x"], "'x' is no number of processes from 1 to 64"),
        (["--workers", "1000"], "'1000' is no number of processes from 1 to 64"),
        (["--max-children", "many"], "no whole number from 1 to 1000000000"),
        (["--max-children", "9" * 5_000], "no whole number from 1 to 1000000000"),
        (["--max-rate", "1e-320"], "no number of Mbit/s above 0"),  # not 0 after rounding: no bound
        (["--gather-ms", "41"], "no number of milliseconds from 0 to 40"),
        (["--max-rate", "-5"], "no number of Mbit/s above 0"),
        (["--bootstrap", ":4000"], "has no host"),
    ],
)
def test_what_cannot_be_used_is_status_2_and_said_in_one_line(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--bootstrap", "127.0.0.1:1", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mcast-node: error: ")
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "listens"),
    [
        ("10.0.0.1:5000", HostPort("", 5000)),
        ("[2001:db8::1]:5000", HostPort("", 5000)),
        ("n1.example:5000", HostPort("", 5000)),
        ("127.0.0.3:5000", HostPort("127.0.0.3", 5000)),
    ],
)
def test_it_listens_everywhere_unless_its_address_is_a_loopback_one(address: str, listens: HostPort) -> None:
    assert _listening_address(LayoutMessage("n1", NodeKind.OVERLAY, address)) == listens
