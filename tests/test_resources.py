"""The example files of resources/configs are valid, and agree with each other."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mcast.media.source.server_config import load_server_config
from mcast.roles.bootstrap.main import main as bootstrap_main
from tools.demo.plan import LINKS

CONFIGS = Path(__file__).parents[1] / "resources" / "configs"
FILES = sorted(file for file in CONFIGS.iterdir() if file.suffix in (".toml", ".json"))


def read(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    return found


LAYOUTS = [file for file in FILES if "nodes" in read(file)]
SERVERS = [file for file in FILES if "content" in read(file)]


def test_every_example_is_a_layout_or_a_servers_file() -> None:
    assert sorted([*LAYOUTS, *SERVERS]) == FILES
    assert LAYOUTS
    assert SERVERS


@pytest.mark.parametrize("file", LAYOUTS, ids=lambda file: file.name)
def test_every_example_layout_passes_the_check_and_shows_all_its_nodes(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bootstrap_main(["--config", str(file), "--check"]) == 0
    shown = capsys.readouterr().out
    for name, node in read(file)["nodes"].items():
        assert name in shown
        assert node["address"] in shown


@pytest.mark.parametrize("file", SERVERS, ids=lambda file: file.name)
def test_every_example_of_a_servers_file_is_accepted(file: Path, tmp_path: Path) -> None:
    """Beside it lie empty files instead of the films that it names."""
    copy = tmp_path / file.name
    shutil.copy(file, copy)
    for content in read(file)["content"]:
        if "format" not in content and "://" not in content["source"]:
            (tmp_path / content["source"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / content["source"]).touch()
    config = load_server_config(copy, formats=lambda: {"lavfi", "v4l2", "alsa"})
    assert [spec.name for spec in config.contents] == [content["name"] for content in read(file)["content"]]


def test_the_example_layout_is_the_one_that_the_demonstration_shows() -> None:
    nodes = read(CONFIGS / "demo-layout.toml")["nodes"]
    assert {name: node.get("neighbours", []) for name, node in nodes.items()} == LINKS


def test_the_same_layout_in_toml_and_in_json_is_the_same() -> None:
    pairs = [(file, file.with_suffix(".toml")) for file in LAYOUTS if file.suffix == ".json"]
    assert pairs
    for one, other in pairs:
        assert read(one) == read(other)
