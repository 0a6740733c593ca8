"""What the tests of whole topologies share: prepared contents, topologies, and what a machine can do."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tools.demo.plan import LoopbackAddresses
from topology.contents import Stock
from topology.harness import LINE, Links, Topology, running
from topology.netns import Networks, why_not


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this directory."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.processes)


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """The contents, made and prepared at most once in a session."""
    return Stock(tmp_path_factory.mktemp("contents"))


Build = Callable[..., Topology]


@pytest.fixture
def build(stock: Stock, tmp_path: Path) -> Iterator[Build]:
    """Start topologies for one test: `build(LINE)`; all are ended and looked at behind it."""
    with ExitStack() as stack:

        def start(
            links: Links = LINE, contents: Sequence[str] = ("clip",), *, servers: int = 1, start: bool = True,
            addresses: LoopbackAddresses | None = None,
        ) -> Topology:  # fmt: skip
            topology = Topology(
                tmp_path / "topology", stock, links,
                contents=contents, servers=servers, addresses=addresses,
            )  # fmt: skip
            stack.enter_context(running(topology))
            return topology.start() if start else topology

        yield start


@pytest.fixture(scope="session")
def line_for_all(stock: Stock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    """One line of nodes that many tests use one after the other."""
    contents = ("clip", "other", "short", "once", "still", "tone")
    topology = Topology(tmp_path_factory.mktemp("line"), stock, LINE, contents=contents)
    with running(topology):
        yield topology.start()


@pytest.fixture
def line(line_for_all: Topology, request: pytest.FixtureRequest) -> Iterator[Topology]:
    """The shared line with nobody watching, before the test and behind it."""
    failed = request.session.testsfailed
    line_for_all.wait_idle()
    yield line_for_all
    if request.session.testsfailed > failed:
        line_for_all.print_logs()
    line_for_all.end_clients()
    line_for_all.wait_idle()


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Network namespaces for one test. Where they are not allowed the test is skipped, or fails in CI."""
    if reason := why_not():
        unavailable("MCAST_REQUIRE_NETNS", reason)
    with Networks() as networks:
        yield networks


@pytest.fixture
def display(tmp_path: Path) -> Iterator[str]:
    """An X display of the test's own."""
    from topology.display import running_display

    lacking = [tool for tool in ("Xvfb", "import", "ffplay") if not shutil.which(tool)]
    if lacking:
        unavailable("MCAST_REQUIRE_DISPLAY", f"missing: {', '.join(lacking)}")
    with running_display(tmp_path) as name:
        yield name


def unavailable(variable: str, reason: str) -> None:
    """Skip a test, or fail where the machine was promised to be able (CI)."""
    if os.environ.get(variable) or os.environ.get("CI"):
        pytest.fail(f"{reason} (and {variable} or CI is set)")
    pytest.skip(reason)
