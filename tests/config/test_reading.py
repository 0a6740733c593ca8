import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcast.config import reading
from mcast.config.reading import read_config
from mcast.errors import ConfigError
from mcast.media.source.server_config import load_server_config


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("x.toml", b'a = 1\nb = "open\n', r"no valid TOML: .* \(at line 2, column 10\)"),
        ("x.json", b'{"a": 1,\n"b": }', r"no valid JSON: .* \(at line 2, column 6\)"),
        ("x.json", b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ("x.json", b'{"a": NaN}', "NaN is no JSON"),
        ("x.json", b"[1, 2]", "holds a list, expected an object"),
        ("x.json", b"[" * 100_000, "nested too deeply|recursion"),
        ("x.toml", b"a = 1\nb = '\xff'", r"not UTF-8 \(at line 2\)"),
        ("x.toml", b'[a]\nb = ["x", "x\\u0000"]', r"a\.b: 'x\\x00' holds what is no character"),
        ("x.json", b'{"a": {"\\u0000": 1}}', r"a: '\\x00' holds what is no character"),
        ("x.json", b'{"a": "\\ud800"}', r"a: '\\ud800' holds what is no character"),
        ("x.toml", b"[a]\nb = [0x" + b"f" * 5_000 + b"]", r"a\.b: a number of more than 64 bits"),
    ],
)
def test_a_broken_file_is_one_line_with_the_place(
    tmp_path: Path, name: str, data: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=complaint) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_directory_and_a_huge_file_are_refused_as_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_config(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match="cannot read it: Is a directory"):
        read_config(tmp_path)
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    (tmp_path / "huge.toml").write_text("# 10 bytes are too much")
    with pytest.raises(ConfigError, match="are no configuration"):
        read_config(tmp_path / "huge.toml")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_config(tmp_path / "x.toml") == {"a": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode), st.sampled_from(["toml", "json"]))
def test_any_file_gives_a_table_or_a_configuration_error(tmp_path: Path, data: bytes, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(data)
    try:
        found = read_config(path)
    except ConfigError:
        return
    assert isinstance(found, dict)


def test_the_example_of_a_servers_file_is_in_order(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "resources" / "configs" / "demo-server.toml"
    path = tmp_path / example.name
    shutil.copy(example, path)
    (tmp_path / "earth.mp4").touch()
    earth, studio = load_server_config(path, formats=lambda: ["lavfi"]).contents
    assert (earth.name, earth.loop, earth.live, earth.datagram_packets) == ("earth", True, False, 7)
    assert (studio.name, studio.live, studio.paced) == ("studio", True, True)


def test_every_key_that_the_example_comments_out_is_a_key_too(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "resources" / "configs" / "demo-server.toml"
    path = tmp_path / example.name
    path.write_text(re.sub(r"^# (\w+ = )", r"\1", example.read_text(), flags=re.MULTILINE))
    (tmp_path / "earth.mp4").touch()
    config = load_server_config(path, formats=lambda: ["lavfi"])
    assert (config.cache, config.contents[0].quality.max_bit_rate) == (tmp_path / "cache", 4_000_000)
