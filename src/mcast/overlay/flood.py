"""What one node knows of a request while its neighbours are asked: a flood, or a walk (discovery.py)."""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

from mcast.overlay.actions import ConnectionId
from mcast.shares import UNCOUNTED, Source
from mcast.wire.node import Disc, Found, Miss


@dataclass(frozen=True, slots=True)
class OwnSearch:
    """Who asks, where this node asks for itself."""

    content: str
    homing: bool = False  # it is fed, and looks for a way by the links of the layout


Asker: TypeAlias = ConnectionId | OwnSearch


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """What has come of a flood that this node began for itself."""

    search: OwnSearch
    answer: Found | Miss
    unreachable: bool = False  # no neighbour could even be asked


@dataclass(frozen=True, slots=True)
class Hindered:
    """What is to be answered to somebody whose question has led nowhere, as it could not go on as it should.

    Of the neighbours that it was to be handed on to one is dead, or says nothing.
    """

    asker: ConnectionId
    answer: Miss
    walks: bool  # not all neighbours were asked


@dataclass(frozen=True, slots=True)
class PositiveEntry:
    """Who said FOUND under a request: a neighbour, or this node as the second choice."""

    neighbour: str
    expires: float


@dataclass(slots=True)
class Flood:
    """A request that this node has handed on and whose answers it is collecting."""

    disc: Disc
    asker: Asker
    deadline: float
    fallback: Found | None = None  # this node's own answer, if there is no better one
    walks: bool = False  # its neighbours are asked one after another
    others: dict[str, float] = field(default_factory=dict)  # who of them is left
    wider_at: float = math.inf  # when the next one is asked beside those that say nothing
    waiting: set[str] = field(default_factory=set)
    misses: list[Miss] = field(default_factory=list)
    answered: bool = False  # by a neighbour, and not by the shell in its place
    unreached: bool = False  # a neighbour could not be asked, or was lost before it answered
    late: bool = False  # its time was over before all had answered
    source: Source = UNCOUNTED  # which has a place among the floods as long as this one lasts

    @property
    def hindered(self) -> bool:
        """Return whether a neighbour is dead, or has said nothing."""
        return self.unreached or self.late

    @property
    def due(self) -> float:
        """Return when something is to be done about it."""
        return min(self.deadline, self.wider_at)
