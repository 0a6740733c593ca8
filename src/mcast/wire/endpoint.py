"""An IP address and a port, as packets carry it.

Two addresses never travel. A link-local IPv6 address means nothing on another host (its scope is a
number of the interface here), so it is refused. An IPv4 address in IPv6's clothes (::ffff:10.0.0.1,
what a dual-stack socket reports) becomes IPv4, so that one host has one spelling.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Self

from mcast.errors import UnknownMessageError, WireError
from mcast.wire.codec import Codec, Reader, Writer

IpAddress = IPv4Address | IPv6Address

_NOBODY, _IPV4, _IPV6 = 0, 4, 6  # the family byte
_SIZE = {_IPV4: 4, _IPV6: 16}


def is_link_local(ip: IpAddress) -> bool:
    return ip.version == _IPV6 and ip.is_link_local


def is_host(ip: IpAddress) -> bool:
    """Return whether this can be the address of one host: no group's, nobody's, no broadcast."""
    return not (ip.is_multicast or ip.is_unspecified or (ip.version == _IPV4 and ip.is_reserved))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a port (0 to 65,535). Raises ValueError for any other port."""

    ip: IpAddress
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 0xFFFF:
            raise ValueError(f"{self.port} is no port")
        if isinstance(self.ip, IPv6Address) and self.ip.ipv4_mapped is not None:
            object.__setattr__(self, "ip", self.ip.ipv4_mapped)

    @classmethod
    def of(cls, host: str, port: int) -> Self:
        """Return the endpoint of a literal address. Raises ValueError if it is a name."""
        return cls(ip_address(host), port)

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == _IPV6 else f"{self.ip}:{self.port}"

    def write(self, writer: Writer) -> None:
        if is_link_local(self.ip):
            raise ValueError(f"{self.ip} is link-local, it means nothing elsewhere")
        writer.u8(self.ip.version)
        writer.raw(self.ip.packed)
        writer.u16(self.port)

    @classmethod
    def read(cls, reader: Reader) -> Self:
        return cls._read_behind_family(reader.u8(), reader)

    @classmethod
    def _read_behind_family(cls, family: int, reader: Reader) -> Self:
        if family not in _SIZE:
            raise UnknownMessageError(f"unknown address family {family}")  # how long it is, who knows
        ip = ip_address(reader.raw(_SIZE[family]))
        if is_link_local(ip):
            raise WireError(f"{ip} is link-local, it means nothing elsewhere")
        return cls(ip, reader.u16())


def _read_host(reader: Reader) -> Endpoint:
    endpoint = Endpoint.read(reader)
    if endpoint.port == 0 or not is_host(endpoint.ip):
        raise WireError(f"nobody can be reached at {endpoint}")
    return endpoint


HOST_ENDPOINT: Codec[Endpoint] = Codec(lambda writer, endpoint: endpoint.write(writer), _read_host)
"""An endpoint that somebody may listen at."""


def _write_optional(writer: Writer, endpoint: Endpoint | None) -> None:
    if endpoint is None:
        writer.u8(_NOBODY)
    else:
        endpoint.write(writer)


def _read_optional(reader: Reader) -> Endpoint | None:
    family = reader.u8()
    return None if family == _NOBODY else Endpoint._read_behind_family(family, reader)


OPTIONAL_ENDPOINT: Codec[Endpoint | None] = Codec(_write_optional, _read_optional)
"""An endpoint, or the family 0 and nothing else where there is none."""
