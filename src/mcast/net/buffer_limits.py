"""What the system lets a socket hold, where that is too little: said once, with the command that mends it.

Only who may administer the network (CAP_NET_ADMIN) gets more than these two limits of the kernel allow.
"""

import functools
import logging

RECEIVE_LIMIT, SEND_LIMIT = "net.core.rmem_max", "net.core.wmem_max"

logger = logging.getLogger(__name__)


def warn_of_limit(limit: str, granted: int, needed: int) -> None:
    """Log that a socket holds `granted` bytes of the `needed` ones. Harmless when repeated.

    Both are as the kernel counts: twice what is asked for, and twice the limit.
    """
    _warn(limit, granted, 1 << (needed // 2 - 1).bit_length())


@functools.cache  # once, and again where much more is needed than was said: by steps of two, so rarely
def _warn(limit: str, granted: int, wanted: int) -> None:
    what = "what comes" if limit == RECEIVE_LIMIT else "what was sent to many at once"
    text = "a socket holds %d bytes of %s, as the system allows no more: sysctl -w %s=%d"
    logger.warning(text, granted, what, limit, wanted)
