"""Imports point downwards only, and the pure layers have no will of their own.

    roles       four programs
    gateway     contents for browsers and players, over HTTP
    client      the public API
    peer, monitoring    what nodes and clients share; what the bootstrapper shows
    media, web  the media plane; an HTTP service
    net         sockets and threads
    config, overlay     files; decisions (pure)
    wire        bytes and dataclasses (pure)
    hostport, eventlog, shares, errors      what all speak

A module may import its own package and what lies below it, never a package beside it. So nobody needs to
know a layer above in order to understand or to test one. A layer that does not exist yet is simply absent.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcast

ROOT = Path(mcast.__file__).parent
TOP = ROOT.parent.parent
LAYERS: list[set[str]] = [  # from the bottom up
    {"errors"},
    {"hostport", "eventlog", "shares"},
    {"wire"},
    {"config", "overlay"},
    {"net"},
    {"media", "web"},
    {"peer", "monitoring"},
    {"client"},
    {"gateway"},
    {"roles"},
]
STARTERS = {"__init__", "__main__"}  # the package itself: a version, and the way into a role
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

PURE = {"wire", "overlay"}
PURE_LIBRARY = {  # nothing that waits, draws, looks at a clock, opens, logs or runs anything
    *("abc", "bisect", "collections", "contextlib", "dataclasses", "enum", "functools", "heapq", "ipaddress"),
    *("itertools", "math", "operator", "re", "statistics", "string", "struct", "typing", "types"),
}

Import = tuple[str, int]  # a module's full name, and the line that names it


def parts(module: Path) -> tuple[str, ...]:
    return module.relative_to(ROOT).with_suffix("").parts


def layer_of(module: Path) -> str:
    return parts(module)[0]


def imports_of(source: str) -> Iterator[Import]:
    """Yield all that a source imports, inside functions too; `from mcast import wire` as `mcast.wire`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import hides where it leads"
            name = node.module or ""
            if name == "mcast":
                yield from ((f"mcast.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield name, node.lineno


def upward(module: Path, source: str) -> list[str]:
    """Return the imports of a module of mcast that lead to a layer above it or beside it."""
    layer, found = layer_of(module), []
    for name, line in imports_of(source):
        first, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if first != "mcast" or layer in STARTERS or target in (layer, "__version__"):
            continue
        if target not in RANK or RANK[target] >= RANK[layer]:
            found.append(f"line {line}: {layer} imports {name}")
    return found


MODULES = sorted(ROOT.rglob("*.py"))


def identify(module: Path) -> str:
    return ".".join(parts(module))


@pytest.mark.parametrize("module", MODULES, ids=identify)
def test_imports_point_downwards(module: Path) -> None:
    assert layer_of(module) in RANK.keys() | STARTERS, "a new package: give it a place among the layers"
    assert upward(module, module.read_text()) == []


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) in PURE], ids=identify)
def test_a_pure_layer_imports_nothing_that_has_a_will_of_its_own(module: Path) -> None:
    for name, line in imports_of(module.read_text()):
        assert name.split(".")[0] in PURE_LIBRARY | {"mcast"}, f"line {line}: {name}"
        assert not name.startswith("mcast.eventlog"), f"line {line}: a pure layer returns, and logs nothing"


def says_pure(module: Path) -> bool:
    docstring = ast.get_docstring(ast.parse(module.read_text())) or ""
    return re.search(r"\bPure\b", docstring) is not None


@pytest.mark.parametrize(
    "module", [m for m in MODULES if layer_of(m) == "media" and says_pure(m)], ids=identify
)
def test_a_module_of_the_media_that_says_it_is_pure_imports_nothing_that_has_a_will_of_its_own(
    module: Path,
) -> None:
    for name, line in imports_of(module.read_text()):
        assert name.split(".")[0] in PURE_LIBRARY | {"zlib", "mcast"}, f"line {line}: {name}"
        assert not name.startswith("mcast.eventlog"), f"line {line}: what is pure returns, and logs nothing"


@pytest.mark.parametrize("module", MODULES, ids=identify)
def test_the_product_needs_the_standard_library_alone(module: Path) -> None:
    for name, line in imports_of(module.read_text()):
        first = name.split(".")[0]
        assert first in sys.stdlib_module_names | {"mcast"}, f"line {line}: {name}"


@pytest.mark.parametrize(
    ("module", "source", "complaints"),
    [
        ("wire/node.py", "from mcast.errors import WireError\nfrom mcast.wire.codec import U8", 0),
        ("wire/node.py", "from mcast.net.connection import Connection", 1),
        ("wire/node.py", "def f():\n    import mcast.overlay.tree", 1),
        ("overlay/tree.py", "from mcast.config.layout import Layout", 1),
        ("net/udp.py", "from mcast import roles, wire", 1),
        ("roles/cli.py", "from mcast.client import Subscription\nimport socket", 0),
        ("hostport.py", "from mcast.errors import ConfigError", 0),
        ("errors.py", "from mcast.wire.node import Disc", 1),
        ("media/fanout.py", "from mcast.unheard import of", 1),
    ],
)
def test_this_test_sees_an_import_that_points_upwards(module: str, source: str, complaints: int) -> None:
    assert len(upward(ROOT / module, source)) == complaints


def test_each_module_of_the_wire_has_its_own_test_file() -> None:
    together = {"rtcp_app": "rtcp", "rtcp_packets": "rtcp"}
    stems = {module.stem for module in (ROOT / "wire").glob("*.py")} - {"__init__"}
    tests = {file.stem for file in (TOP / "tests" / "wire").glob("test_*.py")}
    assert {f"test_{together.get(stem, stem)}" for stem in stems} <= tests
