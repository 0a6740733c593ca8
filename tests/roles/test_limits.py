"""A node at its processor's limit: who comes is sent to wait, who is there is fed on."""

from helpers import PATIENCE, wait_until
from mcast.wire.node import Miss, MissReason
from roles.overlay_parts import Contents, ProcessorClock, Viewer, World


def refusal(viewer: Viewer) -> Miss | None:
    """Ask who can give the content; return why nobody can."""
    viewer.request = (int.from_bytes(viewer.request, "big") + 2**64).to_bytes(16, "big")
    viewer.ask()
    answer = viewer.connection.receive(PATIENCE)
    return answer if isinstance(answer, Miss) else None


def test_a_node_whose_process_is_busy_refuses_who_comes_feeds_who_is_there_and_takes_in_again(
    world: World, processor: ProcessorClock
) -> None:
    _, node = world.line(Contents("news"))
    watching, late = world.viewer(node, "news").watch(), world.viewer(node, "news")
    assert refusal(late) is None
    processor.use(0.95)
    wait_until(lambda: refusal(late) is not None, "a refusal")
    no = refusal(late)
    assert no is not None
    assert (no.reason, "processor is busy" in no.text) == (MissReason.FULL, True)
    assert no.retry_ms >= 500
    seen = len(watching.trains)
    wait_until(lambda: len(watching.trains) > seen + 20, "media for who is there")
    processor.use(0.1)
    wait_until(lambda: refusal(late) is None, "room again")
    late.watch()
