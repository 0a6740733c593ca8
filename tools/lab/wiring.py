"""The links of a running lab: cut, heal and shape them, whatever carries them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcast.errors import ConfigError
from tools.lab import plumbing
from tools.lab.emulation import Emulation
from tools.lab.iproute import has_netem, ip_batch, need_tool, netem, segmentation_offload
from tools.lab.namespaces import namespace_path
from tools.lab.options import Changes, LinkOptions
from tools.lab.topology import LabLink, Scenario

Carrier = Literal["auto", "netem", "tap"]


@dataclass(slots=True)
class _Wire:
    """What a link is at the moment."""

    link: LabLink
    forward: LinkOptions
    backward: LinkOptions
    cut: bool = False
    shaped: bool = False
    has_taps: bool = False

    @property
    def impairs(self) -> bool:
        return self.forward.impairs or self.backward.impairs


class Wiring:
    """Owns the state of all links, and the emulation process once a link needs it."""

    def __init__(
        self, scenario: Scenario, names: plumbing.Names, log: Path, carrier: Carrier, seed: int
    ) -> None:
        self._scenario, self._names, self._log, self._seed = scenario, names, log, seed
        self._carrier = carrier
        self._emulation: Emulation | None = None
        self._wires = {link.name: _Wire(link, link.forward, link.backward) for link in scenario.links}

    def connect_all(self) -> None:
        """Make every link as the scenario says. Raises ConfigError."""
        lines: list[str] = []
        for wire in self._wires.values():
            if wire.impairs:
                lines += self._shape(wire)
            lines += self._connection(wire)
        ip_batch(lines, self._names.fabric)

    @property
    def carrier(self) -> Carrier:
        """Return what makes delay and loss here; decided when it is first asked for."""
        if self._carrier == "auto":
            self._carrier = "netem" if has_netem(self._names.fabric) else "tap"
        return self._carrier

    def options(self, link: str) -> tuple[LinkOptions, LinkOptions]:
        wire = self._wire(link)
        return wire.forward, wire.backward

    def is_cut(self, link: str) -> bool:
        return self._wire(link).cut

    def set_cut(self, link: str, cut: bool) -> None:
        wire = self._wire(link)
        wire.cut = cut
        ip_batch(self._connection(wire), self._names.fabric)

    def shape(self, link: str, towards: str | None, changes: Changes) -> None:
        wire = self._wire(link)
        ends = wire.link.first.node, wire.link.second.node
        if towards not in (None, *ends):
            raise ConfigError(f"{towards!r} is not an end of link {wire.link.name} ({ends[0]}, {ends[1]})")
        forward = wire.forward if towards == ends[0] else wire.forward.changed(changes)
        backward = wire.backward if towards == ends[1] else wire.backward.changed(changes)
        before = wire.forward, wire.backward, wire.shaped
        wire.forward, wire.backward = forward, backward
        try:
            ip_batch([*self._shape(wire), *self._connection(wire)], self._names.fabric)
        except BaseException:
            wire.forward, wire.backward, wire.shaped = before
            raise

    def check(self) -> None:
        """Raise RuntimeError if the emulation process has died."""
        if self._emulation:
            self._emulation.check()

    def close(self) -> None:
        if self._emulation:
            self._emulation.stop()
            self._emulation = None

    def _wire(self, link: str) -> _Wire:
        return self._wires[self._scenario.link(link).name]

    def _connection(self, wire: _Wire) -> list[str]:
        emulated = wire.shaped and self.carrier == "tap"
        return plumbing.connect(wire.link, emulated=emulated, cut=wire.cut)

    def _shape(self, wire: _Wire) -> list[str]:
        """Apply the options of a link; return what `ip` has to do before it is connected anew."""
        was_shaped, wire.shaped = wire.shaped, wire.impairs
        if not (wire.shaped or was_shaped):
            return []
        if self.carrier == "netem":
            self._shape_by_netem(wire, offload_changes=wire.shaped != was_shaped)
            return []
        return self._shape_by_taps(wire)

    def _shape_by_netem(self, wire: _Wire, *, offload_changes: bool) -> None:
        """Queue at the fabric's ends: what leaves the second one is what goes forward.

        netem would lose or delay a train of segments as one packet, so the outer ends must cut trains up.
        """
        if offload_changes:
            need_tool("ethtool", "for links with loss")
            for end, device in zip(
                (wire.link.first, wire.link.second), plumbing.outer_ends(wire.link), strict=True
            ):
                namespace = self._names.node(end.node) if end.name else self._names.fabric
                segmentation_offload(namespace, device, on=not wire.shaped)
        near, far = plumbing.fabric_ends(wire.link)
        for device, options in ((far, wire.forward), (near, wire.backward)):
            netem(self._names.fabric, device, options.netem() if options.impairs else [])

    def _shape_by_taps(self, wire: _Wire) -> list[str]:
        """A TAP without a vnet header takes no trains: the kernel cuts them up by itself."""
        name = wire.link.name
        if self._emulation is None:
            self._emulation = Emulation(namespace_path(self._names.fabric), self._log)
        lines = []
        if not wire.has_taps:
            self._emulation.add(
                name, plumbing.taps(wire.link), (f"{self._seed} {name} >", f"{self._seed} {name} <")
            )
            wire.has_taps = True
            lines = plumbing.second_bridge(wire.link)
        self._emulation.shape(name, (wire.forward, wire.backward))
        return lines
