from mcast.overlay.actions import End
from mcast.overlay.events import LayoutChanged, ServerListed, TimePassed
from mcast.peer.brief import MAX_LINE, brief
from mcast.wire.node import Stop, StopReason
from mcast.wire.server import ContentInfo


def test_it_says_what_is_not_the_default() -> None:
    assert brief(TimePassed()) == "TimePassed()"
    assert brief(LayoutChanged(("n1", "n2"))) == "LayoutChanged(neighbours=['n1', 'n2'])"
    stop = Stop(request=b"\xab" * 16, content="earth", reason=StopReason.END, last=7)
    assert brief(End(3, stop)) == (
        "End(connection=3, stop=Stop(request=abababab, content='earth', reason=end, last=7))"
    )


def test_a_long_list_is_shown_by_its_beginning() -> None:
    line = brief(ServerListed("10.0.0.1:6000", tuple(ContentInfo(f"content {n}") for n in range(1000))))
    assert len(line) == MAX_LINE
    assert line.startswith("ServerListed(server='10.0.0.1:6000', contents=[ContentInfo(name='content 0')")
    assert line.endswith("…")


def test_a_peers_text_cannot_break_the_line() -> None:
    stop = Stop(request=bytes(16), content="a\nb", reason=StopReason.ERROR, text="\x1b[31m")
    assert brief(End(1, stop)).isprintable()
