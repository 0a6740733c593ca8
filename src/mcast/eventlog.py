"""Events: what happens in a program, under names that stay, for whoever reads its log with a program.

A sentence in a log is for people and may be worded anew at any time. An event is a promise: its name and
its fields stay. `note` logs both in one record, so that neither can be forgotten:

    note(logger, "attached", "%s attached below %s", child, " > ".join(path),
         content="earth", child=child, path=path)

With `--log-format json` the name and the fields stand at the top level of the line's object. `EVENTS` is the
one list of all names; docs/operations.md says what each means, and a test keeps the two equal.
"""

import logging
from collections.abc import Mapping

EVENTS: dict[str, tuple[str, ...]] = {
    # every program
    "listening": ("address",),
    "refused": ("whom", "reason"),
    # the bootstrapper
    "layout_read": ("file", "nodes", "links", "servers"),
    "layout_refused": ("file", "reason"),
    "node_registered": ("node", "address"),
    "node_replaced": ("node", "address", "before"),
    "node_lost": ("node", "reason"),
    "node_linked": ("node", "neighbours"),
    "node_elsewhere": ("node", "address"),
    "node_streams": ("content", "node", "path", "children", "fed"),
    "node_pruned": ("content", "node"),
    # a node
    "bootstrapper_awaited": ("address", "reason"),
    "bootstrapper_lost": ("address", "reason"),
    "node_up": ("node", "address", "kind"),
    "attached": ("content", "child", "path"),
    "child_left": ("content", "child", "reason"),
    "pruned": ("content", "received", "lost", "repaired", "duplicates"),
    "link_beyond_file": ("content", "parent", "taken"),
    "node_removed": ("node",),
    "worker_started": ("worker", "pid"),
    "worker_lost": ("worker", "reason", "contents"),
    "content_carried": ("content", "worker"),
    "node_full": ("reason",),
    "node_has_room": ("after_ms",),
    # a node that repairs; a client, too
    "cut": ("content", "cause"),
    "fed": ("content", "after_ms"),
    "parent_doubted": ("content", "parent"),
    "parent_lost": ("content", "parent", "cause", "after_ms"),
    "parent_taken": ("content", "parent", "gap_ms"),
    "control_silent": ("content", "parent"),
    "control_renewed": ("content", "parent", "after_ms"),
    "begun_anew": ("content", "parent", "ssrc"),
    "better_way": ("content", "parent", "before", "why"),
    "second_parent": ("content", "parent", "shared"),
    # a rendezvous point
    "rendezvous_taken": ("before", "cause"),
    "rendezvous_given_back": ("to",),
    "server_listed": ("server", "contents"),
    "server_lost": ("server", "reason"),
    "server_choice": (
        "content", "place", "server", "delay_us", "latency_us", "jitter_us", "metric",
    ),
    "serves": ("content", "server"),
    "server_failover": ("content", "server", "to", "cause"),
    "server_passed_over": ("content", "server", "to", "cause"),
    # a server
    "preparing": ("content", "percent"),
    "prepared": ("content", "duration_s", "took_s"),
    "prepare_failed": ("content", "reason"),
    "stream_started": ("content", "ssrc", "next"),
    "stream_ended": ("content", "ssrc", "next", "reason"),
    "live_input_started": ("content", "pid"),
    "live_input_ended": ("content", "status", "reason", "again_s"),
    "live_input_not_started": ("content", "reason", "again_s"),
    "live_input_silent": ("content", "source", "silent_s"),
    "live_input_back": ("content", "silent_s"),
    "live_input_given_up": ("content", "silent_s"),
    # a client
    "nodes_found": ("bootstrapper", "nearest", "further", "round_trip_ms"),
    "waiting": ("content", "reason"),
    "joined": ("content", "path", "request"),
    "left": ("content", "reason"),
    "output_lost": ("content", "output", "reason"),
    # a client that serves HTTP
    "channel_opened": ("content",),
    "channel_closed": ("content",),
    # a client and a node
    "ended": ("content", "reason"),
}  # fmt: skip
"""Every event with its fields, by who says it."""


def note(
    logger: logging.Logger,
    event: str,
    text: str,
    /,
    *args: object,
    level: int = logging.INFO,
    extra: Mapping[str, object] | None = None,
    **fields: object,
) -> None:
    """Log a sentence for people, and the event for programs.

    `text` and `args` are what `logger.log` takes; `extra` says what else the record is about (`peer`,
    `request`). Raises ValueError for a name that is not in EVENTS, and for missing or unknown fields.
    """
    named = event_extra(event, **fields)
    logger.log(level, text, *args, extra={**(extra or {}), **named}, stacklevel=2)


def event_extra(event: str, /, **fields: object) -> dict[str, object]:
    """Return the `extra` that makes a log record an event, for loggers that are no `logging.Logger`.

    Raises ValueError as `note` does.
    """
    expected = EVENTS.get(event)
    if expected is None:
        raise ValueError(f"there is no event '{event}': list it in mcast.eventlog.EVENTS")
    if fields.keys() != set(expected):
        raise ValueError(f"event '{event}' has the fields {', '.join(expected)}, not {', '.join(fields)}")
    return {"event": event, "fields": {name: plain(fields[name]) for name in expected}}


def plain(value: object) -> object:
    """Return a field's value as JSON has it: numbers, text, lists; bytes as hex, all else as its text."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case list() | tuple() if type(value) in (list, tuple):  # an address is a tuple with names, and a text
            return [plain(each) for each in value]
        case _:
            return str(value)
