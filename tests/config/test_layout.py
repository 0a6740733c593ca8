from collections.abc import Iterable
from copy import deepcopy
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.config.layout import Layout
from mcast.config.layout_file import MAX_NEIGHBOURS, SCOPED_NODES, parse_layout
from mcast.config.layout_text import count_links, describe, further_links, tree
from mcast.errors import ConfigError
from mcast.hostport import HostPort, IPAddress
from mcast.roles.bootstrap.main import read_layout
from mcast.wire.bootstrap import LayoutMessage, NamedAddress, NodeKind, Policy
from mcast.wire.frame import encode

CONFIGS = Path(__file__).parents[2] / "resources" / "configs"

Table = dict[str, Any]

CAMPUS: Table = {
    "rendezvous": "rp",
    "nodes": {
        "rp": {"address": "10.0.4.10:5000", "neighbours": ["n1", "n2"], "servers": ["10.0.6.10:7000"]},
        "n1": {
            "address": "10.0.5.1:5000",
            "aliases": ["10.0.7.1"],
            "neighbours": [{"node": "n2", "address": "10.0.9.2:5000"}],
        },
        "n2": {"address": "10.0.8.2:5000", "neighbours": ["n3"]},
        "n3": {"address": "n3.example.org:5000"},
    },
}


def campus(**changes: object) -> Layout:
    return parse_layout(changed(**changes), "campus.toml")


def changed(**changes: object) -> Table:
    """Give the campus with some values replaced: `n3__address="..."`, None removes."""
    data = deepcopy(CAMPUS)
    for path, value in changes.items():
        *parents, key = path.split("__")
        table = data["nodes"] if parents else data
        for parent in parents:
            table = table.setdefault(parent, {})
        if value is None:
            del table[key]
        else:
            table[key] = value
    return data


def test_what_the_file_says_to_all_nodes_alike_travels_with_each_layout() -> None:
    policy = Policy(repair_anyone=False, optimise=False, move_streams=True, parents=2, max_neighbours=7)
    layout = campus(repair="neighbours", optimise=False, move_streams=True, parents=2, max_neighbours=7)
    assert layout.message("n1", 1).policy == policy
    assert campus(repair="anyone").message("n1", 1).policy == Policy()


def test_discovery_is_scoped_where_the_file_says_so_or_names_many_nodes() -> None:
    assert campus(discovery="scoped").policy.scoped
    assert not campus(discovery="auto").policy.scoped
    crowd = {
        f"x{number}__{key}": value
        for number in range(SCOPED_NODES)
        for key, value in (("address", f"10.1.0.{number + 1}:5000"), ("neighbours", ["rp"]))
    }
    assert campus(**crowd).policy.scoped
    assert not campus(discovery="flood", **crowd).policy.scoped
    assert campus(**crowd).message("n1", 1).policy == Policy(scoped=True)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("repair", "nobody", "'nobody' is none of 'anyone', 'neighbours'"),
        ("repair", True, "True is none of 'anyone', 'neighbours'"),
        ("optimise", "no", "'no' is text, expected true or false"),
        ("move_streams", 1, "1 is a number, expected true or false"),
        ("parents", 3, "3 is not from 1 to 2"),
        ("parents", True, "True is true or false, expected a whole number"),
        ("discovery", "ring", "'ring' is none of 'auto', 'flood', 'scoped'"),
        ("max_neighbours", 0, f"0 is not from 1 to {MAX_NEIGHBOURS}"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(key: str, value: object, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        campus(**{key: value})
    assert str(error.value) == f"campus.toml: {key}: {problem}"


def test_links_are_symmetric_and_each_end_has_its_own_address_for_the_other() -> None:
    layout = campus()
    assert layout.neighbours_of("rp") == (("n1", "10.0.5.1:5000"), ("n2", "10.0.8.2:5000"))
    assert layout.neighbours_of("n1") == (("n2", "10.0.9.2:5000"), ("rp", "10.0.4.10:5000"))
    assert ("n1", "10.0.5.1:5000") in layout.neighbours_of("n2")
    assert count_links(layout) == 4


def test_an_address_over_a_link_needs_no_port() -> None:
    layout = campus(n1__neighbours=[{"node": "n2", "address": "10.0.9.2"}])
    assert layout.neighbours_of("n1")[0] == ("n2", "10.0.9.2:5000")


def test_both_ends_may_tell_a_link() -> None:
    assert count_links(campus(n2__neighbours=["n3", "n1", "rp"])) == 4


def test_the_message_tells_a_node_all_about_its_place() -> None:
    assert campus().message("n1", version=7) == LayoutMessage(
        name="n1",
        kind=NodeKind.OVERLAY,
        address="10.0.5.1:5000",
        aliases=("10.0.7.1",),
        neighbours=(NamedAddress("n2", "10.0.9.2:5000"), NamedAddress("rp", "10.0.4.10:5000")),
        servers=(),
        rendezvous=("rp",),
        version=7,
    )


def test_a_standby_is_a_rendezvous_point_too_and_shares_the_servers_of_the_first() -> None:
    layout = campus(rendezvous=["rp", "n2"])
    assert {layout.kind_of(name) for name in ("rp", "n2")} == {NodeKind.RENDEZVOUS}
    assert layout.kind_of("n1") is NodeKind.OVERLAY
    assert layout.servers_of("n2") == layout.servers_of("rp") == (HostPort("10.0.6.10", 7000),)
    assert layout.servers_of("n1") == ()


def test_a_standby_is_told_who_stands_before_it_and_where_it_reaches_them() -> None:
    layout = campus(rendezvous=["rp", "n1", "n2"])
    assert layout.message("rp", 1).seniors == layout.message("n3", 1).seniors == ()
    reached = dict(layout.neighbours_of("n2"))
    assert layout.message("n2", 1).seniors == (
        NamedAddress("rp", "10.0.4.10:5000"),
        NamedAddress("n1", reached["n1"]),
    )


@pytest.mark.parametrize(
    ("ip", "names"),
    [
        ("10.0.5.1", ["n1"]),
        ("10.0.7.1", ["n1"]),
        ("10.0.9.2", ["n2"]),
        ("10.0.99.99", []),
    ],
    ids=["its own address", "an alias", "where a neighbour reaches it", "a stranger"],
)
def test_a_node_is_found_by_any_of_its_addresses(ip: str, names: list[str]) -> None:
    assert [node.name for node in campus().find_by_address(ip_address(ip))] == names


def test_names_of_hosts_are_resolved_only_if_no_literal_address_fits() -> None:
    asked: list[str] = []

    def resolve(host: str) -> Iterable[IPAddress]:
        asked.append(host)
        return [ip_address("10.0.3.3")]

    layout = campus()
    assert layout.find_by_address(ip_address("10.0.5.1"), resolve=resolve)[0].name == "n1"
    assert asked == []
    assert layout.find_by_address(ip_address("10.0.3.3"), resolve=resolve)[0].name == "n3"
    assert asked == ["n3.example.org"]


def test_nodes_on_one_host_are_told_apart_by_their_ports() -> None:
    layout = read_layout(CONFIGS / "demo-layout.toml")
    home = ip_address("127.0.0.1")
    assert [node.name for node in layout.find_by_address(home, 4102)] == ["n2"]
    assert len(layout.find_by_address(home)) == 5


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"rendezvous": None}, "rendezvous: is missing"),
        ({"rendezvous": "nowhere"}, r"rendezvous: 'nowhere' is not a node \(nodes: rp, n1, n2, n3\)"),
        ({"rendezvous": []}, "rendezvous: the list is empty"),
        ({"rendezvous": ["rp", "rp"]}, "rendezvous: 'rp' is there twice"),
        ({"rendezvous": 5}, "rendezvous: is a number, expected a list"),
        ({"node": {}}, r"node: unknown key; did you mean 'nodes'\?$"),
        ({"nodes": None}, "nodes: is missing"),
        ({"nodes": {}}, "nodes: there is none"),
        ({"nodes": ["rp"]}, "nodes: is a list, expected a table"),
        ({"nodes": {"rp": "10.0.0.1:1"}}, r"nodes\.rp: is text, expected a table"),
        ({"nodes": {"x" * 65: {}}}, "nodes: a node's name has 1 to 64 bytes, not 65"),
        ({"nodes": {"a\nb": {}}}, "nodes: a node's name is printable"),
        ({"n3__adress": "x"}, r"nodes\.n3\.adress: unknown key; did you mean 'address'\?$"),
        ({"n3__address": None}, r"nodes\.n3\.address: is missing: for example"),
        ({"n3__address": 5000}, r"nodes\.n3\.address: 5000 is a number, expected text"),
        ({"n3__address": "10.0.3.3"}, r"nodes\.n3\.address: '10\.0\.3\.3' has no port"),
        ({"n3__address": "10.0.3.3:0"}, r"nodes\.n3\.address: .* port 0 is out of range \(1 to 65535\)"),
        ({"n3__address": "10.0.3.3:65536"}, "port 65536 is out of range"),
        ({"n3__address": ":5000"}, r"nodes\.n3\.address: ':5000' has no host"),
        ({"n3__address": "0.0.0.0:5000"}, r"0\.0\.0\.0 is no address at which others reach a node"),
        ({"n3__address": "239.1.1.1:5000"}, "is no address at which others reach"),
        ({"n3__address": "[fe80::1]:5000"}, "fe80::1 is link-local"),
        ({"n3__address": "10.0.5.1:5000"}, r"address: 10\.0\.5\.1:5000 is the address of 'n1' already"),
        ({"n3__aliases": "10.0.3.4"}, r"nodes\.n3\.aliases: is text, expected a list"),
        ({"n3__aliases": ["10.0.3.400"]}, r"nodes\.n3\.aliases: '10\.0\.3\.400' is no IPv4 address"),
        ({"n3__aliases": ["fe80::1%eth0"]}, "link-local"),
        ({"n3__neighbours": ["n9"]}, r"nodes\.n3\.neighbours: 'n9' is not a node \(nodes: rp, n1, n2, n3\)"),
        ({"n3__neighbours": ["n3"]}, r"nodes\.n3\.neighbours: 'n3' is its own neighbour"),
        ({"n3__neighbours": ["n1", "n1"]}, "'n1' is there twice"),
        ({"n3__neighbours": [7]}, "7 is a number, expected a name or"),
        ({"n3__neighbours": [{"address": "10.0.0.1:1"}]}, r"nodes\.n3\.neighbours\.node: is missing"),
        ({"n3__neighbours": [{"node": "n1", "port": 1}]}, r"nodes\.n3\.neighbours\.port: unknown key"),
        ({"n3__neighbours": [{"node": "n1", "address": "10.0.4.10:5000"}]}, "is the address of 'rp' already"),
        ({"n2__neighbours": []}, r"nodes\.n3\.neighbours: no way leads from 'rp' to 'n3'"),
        ({"n1__servers": ["10.0.6.10:7000"]}, r"nodes\.n1\.servers: only a rendezvous has servers"),
        ({"rp__servers": ["10.0.6.10:7000", "10.0.6.10:7000"]}, r"nodes\.rp\.servers: .* is there twice"),
        ({"rp__servers": ["10.0.5.1:5000"]}, r"nodes\.rp\.servers: .* is the address of node 'n1'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_file_the_key_and_the_remedy(
    changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=f"^campus.toml: .*{complaint}") as caught:
        campus(**changes)
    assert "\n" not in str(caught.value)


def test_the_number_of_neighbours_is_bounded() -> None:
    nodes: Table = {"rp": {"address": "10.0.0.1:1"}}
    for number in range(MAX_NEIGHBOURS + 1):
        nodes[f"n{number}"] = {"address": f"10.1.0.1:{number + 1}", "neighbours": ["rp"]}
    with pytest.raises(ConfigError, match=r"nodes\.rp: 257 neighbours, the most is 256"):
        parse_layout({"rendezvous": "rp", "nodes": nodes}, "campus.toml")


def test_the_largest_place_in_a_layout_fits_into_a_frame() -> None:
    host = ".".join(["x" * 60] * 4)
    nodes: Table = {"rp": {"address": f"{host}:1"}}
    for number in range(MAX_NEIGHBOURS):
        nodes[f"{number:064}"] = {"address": f"{host}:{number + 2}", "neighbours": ["rp"]}
    encode(parse_layout({"rendezvous": "rp", "nodes": nodes}, "x").message("rp", 1))


def test_a_chain_of_ten_thousand_nodes_is_read_and_drawn() -> None:
    nodes: Table = {"0": {"address": "10.0.0.1:1"}}
    for number in range(1, 10_000):
        nodes[str(number)] = {"address": f"10.0.0.1:{number + 1}", "neighbours": [str(number - 1)]}
    assert len(tree(parse_layout({"rendezvous": "0", "nodes": nodes}, "x"))) == 10_000


def test_a_layout_is_described_as_a_tree_and_a_table() -> None:
    assert describe(campus()) == (
        "rp  10.0.4.10:5000  rendezvous  servers 10.0.6.10:7000\n"
        "├── n1  10.0.5.1:5000\n"
        "└── n2  10.0.8.2:5000\n"
        "    └── n3  n3.example.org:5000\n"
        "\n"
        "further links:\n"
        "  n1 - n2\n"
        "\n"
        "node  kind        address              other hosts  reaches\n"
        "rp    rendezvous  10.0.4.10:5000       -            n1=10.0.5.1:5000 n2=10.0.8.2:5000\n"
        "n1    overlay     10.0.5.1:5000        10.0.7.1     n2=10.0.9.2:5000 rp=10.0.4.10:5000\n"
        "n2    overlay     10.0.8.2:5000        10.0.9.2     "
        "n3=n3.example.org:5000 rp=10.0.4.10:5000 n1=10.0.5.1:5000\n"
        "n3    overlay     n3.example.org:5000  -            n2=10.0.8.2:5000\n"
    )


@given(
    st.integers(2, 12).flatmap(
        lambda count: st.tuples(
            st.just(count),
            st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30),
        )
    )
)
def test_every_graph_is_refused_or_drawn_whole_with_each_node_once(
    graph: tuple[int, set[tuple[int, int]]],
) -> None:
    count, links = graph
    nodes: Table = {
        f"n{one}": {
            "address": f"10.0.0.{one + 1}:5000",
            "neighbours": [f"n{other}" for first, other in links if first == one and other != one],
        }
        for one in range(count)
    }
    try:
        layout = parse_layout({"rendezvous": "n0", "nodes": nodes}, "x")
    except ConfigError:
        return
    assert len(tree(layout)) == count
    pairs = {frozenset(pair) for pair in links if pair[0] != pair[1]}
    assert count_links(layout) == len(pairs) == count - 1 + len(further_links(layout))
    for name in layout.nodes:
        assert all((name, str(layout.nodes[name].address)) in layout.neighbours_of(other)
                   for other, _ in layout.neighbours_of(name))  # fmt: skip


keys = st.sampled_from(["rendezvous", "nodes", "address", "aliases", "neighbours", "servers", "node", "rp"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["rendezvous", "nodes", "address", "aliases", "neighbours", "servers", "node", "rp"]
            ),
            inner,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["rendezvous", "nodes"]), json_values))
def test_any_parsed_file_gives_a_layout_or_a_configuration_error(data: dict[str, object]) -> None:
    try:
        parse_layout(data, "x")
    except ConfigError as error:
        assert str(error).startswith("x: ")  # noqa: PT017


@pytest.mark.parametrize("name", ["demo-layout.toml", "campus-layout.toml", "campus-layout.json"])
def test_the_example_files_are_in_order(name: str) -> None:
    layout = read_layout(CONFIGS / name)
    assert layout.servers_of("rp")
    for node in layout.nodes:
        encode(layout.message(node, 1))


def test_json_says_the_same_as_toml() -> None:
    toml, json = (read_layout(CONFIGS / f"campus-layout.{suffix}") for suffix in ("toml", "json"))
    assert toml == json


@pytest.mark.parametrize(
    ("value", "name", "ip", "admitted"),
    [
        (False, "lab-1", "10.0.0.1", False),
        (True, "lab-1", "192.0.2.1", True),
        (["lab-*"], "lab-1", "192.0.2.1", True),
        (["lab-*"], "lax-1", "192.0.2.1", False),
        (["lab-?"], "lab-12", "192.0.2.1", False),
        (["10.0.0.0/8"], "who", "10.200.0.1", True),
        (["10.0.0.0/8"], "who", "11.0.0.1", False),
        (["10.0.0.7"], "who", "10.0.0.7", True),
        (["2001:db8::/32", "lab-*"], "who", "2001:db8::5", True),
        ([], "lab-1", "10.0.0.1", False),
    ],
)
def test_a_layout_is_open_to_networks_and_to_names(value: object, name: str, ip: str, admitted: bool) -> None:
    assert campus(open=value).open.admits(name, ip_address(ip)) is admitted


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (["10.0.0.0/99"], "open: '10.0.0.0/99' is no network: write 10.0.0.0/8"),
        (["10.0.0.1/8"], "open: '10.0.0.1/8' is no network: it has bits set behind its length"),
        (["10.0.0"], "open: '10.0.0' is no network: write 10.0.0.0/8"),
        (["lab-[0-9]"], "open: 'lab-[0-9]': '[' has no meaning here"),
        ([""], "open: '' is neither a network nor a pattern for names"),
        (["lab-*", "lab-*"], "open: 'lab-*' is there twice"),
        ([5], "open: 5 is a number, expected text"),
        ("lab-*", "open: 'lab-*' is no list: write true, false or"),
        (1, "open: 1 is no list"),
    ],
)
def test_a_bad_pattern_is_refused_in_one_line(value: object, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        campus(open=value)
    assert str(refused.value).startswith(f"campus.toml: {problem}")
    assert "\n" not in str(refused.value)
