"""Why there is no stream (any more), told to the one who wanted it: the core's values as errors."""

from mcast.client.options import Options
from mcast.errors import McastError, NotFoundError, StreamEndedError, UnreachableError
from mcast.overlay.actions import SearchFailure
from mcast.wire.node import MissReason, Stop, StopReason, in_words


def search_error(options: Options, failure: SearchFailure) -> McastError:
    """Return the error for a search without a result."""
    content, neighbours = options.content, " or ".join(map(str, options.neighbours))
    if failure.reason is MissReason.ABSENT:
        return NotFoundError(
            f"no server that answers has the content '{content}': is the name right, and its server up?"
        )
    if failure.passes and failure.reason is MissReason.FULL:
        return UnreachableError(
            f"no room for one more viewer of '{content}' at {neighbours}: {failure.text} "
            f"(waited for {options.patience:g} s): ask another node, join again later, or wait longer"
        )
    if failure.passes:
        return UnreachableError(
            f"the content '{content}' is not ready: {failure.text} "
            f"(waited for {options.patience:g} s): join again later, or wait longer"
        )
    if failure.unreachable:
        # Who has turned us away names his program: then one runs there, and his text says what to do.
        hint = "" if "mcast-" in failure.text else ": is mcast-node running there?"
        tried = f"(tried for {options.patience:g} s)"
        return UnreachableError(f"{_nobody(neighbours, failure.text)} {tried}{hint}")
    if failure.reason is MissReason.DEADLINE and not failure.text:
        tried = f"(tried for {options.patience:g} s)"
        return UnreachableError(f"{_nobody(neighbours, '')} {tried}: does it hang, or a node behind it?")
    why = in_words(failure.reason, failure.text)
    times = "1 try" if failure.tries == 1 else f"{failure.tries} tries"
    return UnreachableError(f"no way to the content '{content}' through {neighbours} in {times} ({why})")


def stop_error(options: Options, stop: Stop, doubt: str = "") -> StreamEndedError | None:
    """Return the error for the end of a stream; None if the content is over.

    `doubt` is what seemed to be wrong with the way from the parent.
    """
    if stop.reason is StopReason.END:
        return None
    why = in_words(stop.reason, stop.text)
    told = [f"the stream of '{options.content}' has ended: {why}", *([doubt] if doubt else [])]
    return StreamEndedError("; ".join(told))


def _nobody(neighbours: str, text: str) -> str:
    """Say that nobody answers, with each neighbour's address once."""
    nobody = f"nobody answers at {neighbours}"
    return text if text.startswith(nobody) else f"{nobody}: {text}" if text else nobody
