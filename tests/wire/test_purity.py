"""`wire` knows bytes only: whatever waits, draws or looks at a clock belongs to the layers above."""

import ast
from pathlib import Path

import pytest

import mcast.wire

MODULES = sorted(Path(mcast.wire.__path__[0]).glob("*.py"))
ALLOWED = {"collections", "dataclasses", "enum", "ipaddress", "struct", "typing"}


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_wire_imports_nothing_that_has_a_will_of_its_own(module: Path) -> None:
    for name in imported(module):
        assert name.startswith("mcast.wire") or name == "mcast.errors" or name.split(".")[0] in ALLOWED, name


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_each_module_has_its_own_test_file(module: Path) -> None:
    stem = {"rtcp_app": "rtcp", "rtcp_packets": "rtcp"}.get(module.stem, module.stem)
    assert module.stem == "__init__" or (Path(__file__).parent / f"test_{stem}.py").exists()
