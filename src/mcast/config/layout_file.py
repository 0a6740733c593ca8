"""Build a layout from a parsed TOML or JSON file: read whole, checked whole, refused whole.

Every complaint names the file and the key, says what is wrong, and says what would be right:

    campus.toml: nodes.n3.neighbours: 'n9' is not a node (nodes: n1, n2, n3)

Wrong, apart from values of the wrong type, are: unknown keys, a name that no packet can carry, a
neighbour that is no node or is the node itself, one address for two nodes, an address that means
nothing elsewhere (0.0.0.0, link-local), a rendezvous point that is no node, servers at a node that is
no rendezvous point, nodes that no chain of links connects to the rendezvous point, and an `open` that is
neither a network nor a pattern for names.
"""

from collections.abc import Mapping, Sequence, Sized

from mcast.config.layout import Layout, Link, NodeSpec
from mcast.config.opening import CLOSED, OPEN_TO_ALL, Opening, parse_opening
from mcast.config.tables import TableChecks, some
from mcast.errors import ConfigError
from mcast.hostport import HostPort, literal_ip, parse_address, parse_host
from mcast.wire.bootstrap import DEFAULT_POLICY, Policy
from mcast.wire.identity import check_node_name

MAX_NODES = 10_000
MAX_NEIGHBOURS = 256
"""Of one node. Each gets a warm connection, and each discovery floods to all of them."""

MAX_PARENTS = 2

_POLICY_KEYS = ("repair", "optimise", "move_streams", "parents", "max_neighbours", "discovery")
_TOP_KEYS = ("rendezvous", "nodes", "open", *_POLICY_KEYS)
_REPAIR = ("anyone", "neighbours")
_DISCOVERY = ("auto", "flood", "scoped")
SCOPED_NODES = 32
"""With more nodes than these `discovery = "auto"` is "scoped": a flood is some six messages a node."""
_NODE_KEYS = ("address", "aliases", "neighbours", "servers")
_LINK_KEYS = ("node", "address")


def parse_layout(data: Mapping[str, object], source: str) -> Layout:
    """Build a layout from a parsed file. Raises ConfigError, whose text begins with `source`."""
    return _Reader(source).layout(data)


class _Reader(TableChecks):
    def layout(self, data: Mapping[str, object]) -> Layout:
        self.only_keys("", data, _TOP_KEYS)
        tables = self._node_tables(data)
        rendezvous = self._rendezvous(data, tables)
        nodes = {name: self._node(name, table) for name, table in tables.items()}
        directed = {name: self._directed_links(name, table, nodes) for name, table in tables.items()}
        self._check_addresses(nodes, directed)
        self._check_servers(nodes, rendezvous)
        links = _symmetric(nodes, directed)
        for name in nodes:
            self._check_link_count(name, links)
        self._check_reachable(links, rendezvous[0])
        return Layout(nodes, links, rendezvous, self._opening(data), self._policy(data, nodes))

    def _opening(self, data: Mapping[str, object]) -> Opening:
        value = data.get("open", False)
        if isinstance(value, bool):
            return OPEN_TO_ALL if value else CLOSED
        if not isinstance(value, list):
            self.fail("open", f'{value!r} is no list: write true, false or ["10.0.0.0/8", "lab-*"]')
        texts = self.texts("open", value)
        self.no_duplicates("open", texts)
        try:
            return parse_opening(texts)
        except ConfigError as error:
            self.fail("open", str(error))

    def _policy(self, data: Mapping[str, object], nodes: Sized) -> Policy:
        default, repair = DEFAULT_POLICY, self.choice("repair", data.get("repair", _REPAIR[0]), _REPAIR)
        return Policy(
            repair_anyone=repair == _REPAIR[0],
            optimise=self.flag("optimise", data.get("optimise", default.optimise)),
            move_streams=self.flag("move_streams", data.get("move_streams", default.move_streams)),
            parents=self.number("parents", data.get("parents", default.parents), 1, MAX_PARENTS),
            max_neighbours=self.number(
                "max_neighbours", data.get("max_neighbours", default.max_neighbours), 1, MAX_NEIGHBOURS
            ),
            scoped=self._is_scoped(data, nodes),
        )

    def _is_scoped(self, data: Mapping[str, object], nodes: Sized) -> bool:
        discovery = self.choice("discovery", data.get("discovery", _DISCOVERY[0]), _DISCOVERY)
        return discovery == "scoped" or (discovery == "auto" and len(nodes) > SCOPED_NODES)

    def _node_tables(self, data: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
        nodes = self.table("nodes", self.required("", data, "nodes", "a table [nodes.NAME] per node"))
        if not nodes:
            self.fail("nodes", "there is none: write a table [nodes.NAME] per node")
        if len(nodes) > MAX_NODES:
            self.fail("nodes", f"{len(nodes)} are too many, the most is {MAX_NODES}")
        for name in nodes:
            try:
                check_node_name(name)
            except ValueError as error:
                self.fail("nodes", str(error))
        return {name: self.table(f"nodes.{name}", table) for name, table in nodes.items()}

    def _rendezvous(self, data: Mapping[str, object], nodes: Mapping[str, object]) -> tuple[str, ...]:
        value = self.required("", data, "rendezvous", 'the name of a node, or a list: ["rp", "rp2"]')
        names = [value] if isinstance(value, str) else self.texts("rendezvous", value)
        if not names:
            self.fail("rendezvous", "the list is empty: name the node that serves")
        for name in names:
            if name not in nodes:
                self.fail("rendezvous", f"{name!r} is not a node (nodes: {some(nodes)})")
        self.no_duplicates("rendezvous", names)
        return tuple(names)

    def _node(self, name: str, table: Mapping[str, object]) -> NodeSpec:
        key = f"nodes.{name}"
        self.only_keys(key, table, _NODE_KEYS)
        address = self.text(
            f"{key}.address", self.required(key, table, "address", 'for example "10.0.5.1:5000"')
        )
        aliases = self.texts(f"{key}.aliases", table.get("aliases", []))
        servers = self.texts(f"{key}.servers", table.get("servers", []))
        return NodeSpec(
            name,
            self._address(f"{key}.address", address),
            tuple(self._host(f"{key}.aliases", alias) for alias in aliases),
            tuple(self._address(f"{key}.servers", server) for server in servers),
        )

    def _directed_links(
        self, name: str, table: Mapping[str, object], nodes: Mapping[str, NodeSpec]
    ) -> dict[str, HostPort | None]:
        """Return what one node's `neighbours` say: names, and addresses where they are given."""
        key = f"nodes.{name}.neighbours"
        found: dict[str, HostPort | None] = {}
        for entry in self.entries(key, table.get("neighbours", [])):
            neighbour, address = self._neighbour(key, entry, nodes)
            if neighbour == name:
                self.fail(key, f"{name!r} is its own neighbour")
            if neighbour in found:
                self.fail(key, f"{neighbour!r} is there twice")
            found[neighbour] = address
        return found

    def _neighbour(
        self, key: str, entry: object, nodes: Mapping[str, NodeSpec]
    ) -> tuple[str, HostPort | None]:
        address: str | None = None
        if isinstance(entry, Mapping):
            self.only_keys(key, entry, _LINK_KEYS)
            name = self.text(f"{key}.node", self.required(key, entry, "node", "the neighbour's name"))
            if "address" in entry:
                address = self.text(f"{key}.address", entry["address"])
        else:
            name = self.text(key, entry, 'a name or { node = "NAME", address = "HOST:PORT" }')
        if name not in nodes:
            self.fail(key, f"{name!r} is not a node (nodes: {some(nodes)})")
        if address is None:
            return name, None
        return name, self._address(f"{key}.address", address, nodes[name].address.port)

    def _check_addresses(
        self, nodes: Mapping[str, NodeSpec], directed: Mapping[str, Mapping[str, HostPort | None]]
    ) -> None:
        owners: dict[HostPort, str] = {}
        for name, node in nodes.items():
            self._claim(f"nodes.{name}.address", node.address, name, owners)
        for name, links in directed.items():
            for neighbour, address in links.items():
                if address is not None:
                    self._claim(f"nodes.{name}.neighbours", address, neighbour, owners)
        for name, node in nodes.items():
            for server in node.servers:
                if server in owners:
                    self.fail(f"nodes.{name}.servers", f"{server} is the address of node {owners[server]!r}")

    def _claim(self, key: str, address: HostPort, name: str, owners: dict[HostPort, str]) -> None:
        owner = owners.setdefault(address, name)
        if owner != name:
            self.fail(key, f"{address} is the address of {owner!r} already: each node needs its own")

    def _check_servers(self, nodes: Mapping[str, NodeSpec], rendezvous: Sequence[str]) -> None:
        for name, node in nodes.items():
            key = f"nodes.{name}.servers"
            if node.servers and name not in rendezvous:
                self.fail(key, f"only a rendezvous has servers (rendezvous: {some(rendezvous)})")
            self.no_duplicates(key, [str(server) for server in node.servers])

    def _check_link_count(self, name: str, links: Mapping[str, Sequence[Link]]) -> None:
        if len(links[name]) > MAX_NEIGHBOURS:
            self.fail(f"nodes.{name}", f"{len(links[name])} neighbours, the most is {MAX_NEIGHBOURS}")

    def _check_reachable(self, links: Mapping[str, Sequence[Link]], start: str) -> None:
        reached, frontier = {start}, [start]
        while frontier:
            new = [link.neighbour for link in links[frontier.pop()] if link.neighbour not in reached]
            reached.update(new)
            frontier.extend(new)
        lost = [name for name in links if name not in reached]
        if lost:
            self.fail(
                f"nodes.{lost[0]}.neighbours",
                f"no way leads from {start!r} to {some([repr(name) for name in lost])}",
            )

    def _address(self, key: str, text: str, default_port: int | None = None) -> HostPort:
        try:
            address = parse_address(text, default_port=default_port, lowest_port=1)
        except ConfigError as error:
            self.fail(key, str(error))
        if not address.host:
            self.fail(key, f"{text!r} has no host: write HOST:PORT")
        self._check_meaning(key, address.host)
        return address

    def _host(self, key: str, text: str) -> str:
        try:
            host = parse_host(text)
        except ConfigError as error:
            self.fail(key, str(error))
        self._check_meaning(key, host)
        return host

    def _check_meaning(self, key: str, host: str) -> None:
        ip = literal_ip(host)
        if ip is None:
            return
        if ip.is_unspecified or ip.is_multicast:
            self.fail(key, f"{host} is no address at which others reach a node")
        if ip.version == 6 and ip.is_link_local:
            self.fail(key, f"{host} is link-local, it means nothing on other hosts: give another one")


def _symmetric(
    nodes: Mapping[str, NodeSpec], directed: Mapping[str, Mapping[str, HostPort | None]]
) -> dict[str, tuple[Link, ...]]:
    both: dict[str, dict[str, HostPort | None]] = {name: dict(links) for name, links in directed.items()}
    for name, links in directed.items():
        for neighbour in links:
            both[neighbour].setdefault(name, None)
    return {
        name: tuple(Link(other, address or nodes[other].address) for other, address in links.items())
        for name, links in both.items()
    }
