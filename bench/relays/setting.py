"""What a row is measured in: an overlay with its contents, and the loop that drives all light children."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.relays.children import Loop
from bench.relays.overlay import Overlay
from bench.relays.sources import Sources
from tools.demo.processes import ProgramError

MBITS = 5.0
"""Of the content that nearly all rows stream."""


def five_mbits(sources: Sources) -> Sequence[Path]:
    """Return that content."""
    return [sources.noise(MBITS)]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a row's overlay must have."""

    contents: int = 1  # all the same file, unless there are several
    nodes: int = 1
    pace_ms: int | None = None  # of the server; None: its default
    link_mbits: float | None = None  # between relay and children of the first content; None: no limit
    node_options: tuple[str, ...] = ()
    sources: Callable[[Sources], Sequence[Path]] = five_mbits


class Setting:
    """A place for one row. The overlay starts when somebody first needs it."""

    def __init__(self, folder: Path, sources: Sources, needs: Needs, seconds: float) -> None:
        """`seconds`: how long one turn is measured."""
        self.folder, self.seconds, self.needs = folder, seconds, needs
        self._sources = sources
        self.loop = Loop()
        self._overlay: Overlay | None = None
        self._failure: ProgramError | None = None

    @property
    def overlay(self) -> Overlay:
        """Return the running overlay. Raises ProgramError; again, if it has not started once."""
        if self._failure:
            raise self._failure
        if self._overlay is None:
            files = self.needs.sources(self._sources)
            contents = list(files) if len(files) > 1 else list(files) * self.needs.contents
            needs = self.needs
            self._overlay = Overlay(self.folder, contents, nodes=needs.nodes, pace_ms=needs.pace_ms)
            try:
                self._overlay.start()
            except ProgramError as error:
                self._failure = error
                raise
        return self._overlay

    def close(self) -> None:
        """End all that runs."""
        if self._overlay is not None:
            self._overlay.close()
        self.loop.close()
