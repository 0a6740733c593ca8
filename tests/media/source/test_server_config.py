import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.errors import ConfigError
from mcast.media.source.cache import Cache
from mcast.media.source.complaints import SourceError
from mcast.media.source.encoding import DEFAULT_QUALITY, Quality
from mcast.media.source.live_tracks import is_fifo
from mcast.media.source.server_config import ContentSpec, ServerConfig, load_server_config

GOOD = '[[content]]\nname = "earth"\nsource = "earth.mp4"\n'


def formats() -> list[str]:
    return ["lavfi", "v4l2", "mpegts", "alsa"]


def load(directory: Path, text: str, name: str = "server.toml") -> ServerConfig:
    (directory / "earth.mp4").write_bytes(b"")
    (directory / name).write_text(text)
    return load_server_config(directory / name, formats)


def one(directory: Path, **keys: object) -> ContentSpec:
    content = {"name": "studio", "source": "testsrc2", **keys}
    return load(directory, json.dumps({"content": [content]}), "server.json").contents[0]


def test_a_file_is_found_beside_the_configuration_and_has_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).contents == (
        ContentSpec(
            name="earth",
            source=str(tmp_path / "earth.mp4"),
            path=tmp_path / "earth.mp4",
            live=False,
            format=None,
            paced=False,
            input_options=(),
            loop=True,
            datagram_packets=7,
            quality=DEFAULT_QUALITY,
        ),
    )


def test_toml_and_json_have_the_same_keys(tmp_path: Path) -> None:
    keys = {
        "name": "earth",
        "source": "earth.mp4",
        "loop": False,
        "datagram_packets": 6,
        "max_bit_rate": 9_000,
    }
    text = "[[content]]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    contents = load(tmp_path, text).contents
    assert contents == load(tmp_path, json.dumps({"content": [keys]}), "server.json").contents
    assert (contents[0].loop, contents[0].datagram_packets, contents[0].quality) == (False, 6, Quality(9_000))


def test_the_cache_is_relative_to_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).cache is None
    assert load(tmp_path, 'cache = "prepared"\n' + GOOD).cache == tmp_path / "prepared"


def test_a_format_or_a_url_makes_a_live_input_which_does_not_loop(tmp_path: Path) -> None:
    spec = one(tmp_path, format="lavfi")
    assert (spec.live, spec.loop, spec.path, spec.source, spec.format) == (
        True,
        False,
        None,
        "testsrc2",
        "lavfi",
    )
    assert one(tmp_path, source="rtsp://camera/1").live


def test_only_a_source_without_a_clock_is_read_at_its_own_rate(tmp_path: Path) -> None:
    (tmp_path / "film.ts").write_bytes(b"")
    assert one(tmp_path, format="lavfi").paced
    film = one(tmp_path, source="film.ts", format="mpegts")
    assert (film.paced, film.source) == (True, str(tmp_path / "film.ts"))
    assert one(tmp_path, source="https://host/film.mp4").paced
    assert not one(tmp_path, source="https://host/live.m3u8").paced
    assert not one(tmp_path, source="rtsp://camera/1").paced
    camera = one(tmp_path, source="/dev/null", format="v4l2", input_options=["-framerate", "30"])
    assert (camera.paced, camera.source, camera.input_options) == (False, "/dev/null", ("-framerate", "30"))
    assert one(tmp_path, source="rtsp://camera/1", paced=True).paced


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "server.toml: content: there is none: write a table [[content]]"),
        ("[[content]]\nname = ", "server.toml: no valid TOML: Invalid value (at line 2, the last one)"),
        ("[[content]]\nname = x", "server.toml: no valid TOML: Invalid value (at line 2, column 8)"),
        ("content = 7", "server.toml: content: is a number, expected a list"),
        ("content = [7]", "server.toml: content 1: is a number, expected a table"),
        ("contents = []", "server.toml: contents: unknown key; did you mean 'content'?"),
        (GOOD + "lop = true", "content 1.lop: unknown key; did you mean 'loop'?"),
        (GOOD + "x = 1", "content 1.x: unknown key; known keys: name, source"),
        ("[[content]]\nsource = 'earth.mp4'", 'content 1.name: is missing: for example "earth"'),
        ("[[content]]\nname = 'a'", "content 'a'.source: is missing: "),
        ("[[content]]\nname = ''", "content 1.name: is empty: "),
        ("[[content]]\nname = 7", "content 1.name: 7 is a number, expected text"),
        (
            "[[content]]\nname = 'a\\tb'".replace("'", '"'),
            r"content 1.name: a content's name is printable, unlike 'a\tb'",
        ),
        (
            f'[[content]]\nname = "{"é" * 128}"',
            "content 1.name: a content's name has at most 255 bytes, not 256",
        ),
        (GOOD + GOOD, "server.toml: content: 'earth' is there twice"),
        (GOOD + "deint = 'yes'", "content 'earth'.deint: 'yes' is none of 'auto', 'keep', 'off'"),
        (GOOD + "audio = -1", "content 'earth'.audio: -1 is neither a number from 0 on nor a name"),
        (GOOD + "audio = true", "content 'earth'.audio: True is neither a number from 0 on nor a name"),
        (GOOD + "video = -1", "content 'earth'.video: -1 is not from 0 to 1000"),
        (GOOD + "stall = 5", "content 'earth'.stall: only for live inputs"),
        (GOOD + "format = 'mpegts'\nstall = 0", "content 'earth'.stall: 0 is not from 1 to 86400"),
        (GOOD + "datagram_packets = 8", "content 'earth'.datagram_packets: 8 is not from 1 to 7"),
        (GOOD + "datagram_packets = 0", "content 'earth'.datagram_packets: 0 is not from 1 to 7"),
        (
            GOOD + "datagram_packets = true",
            "datagram_packets: True is true or false, expected a whole number",
        ),
        (GOOD + "loop = 1", "content 'earth'.loop: 1 is a number, expected true or false"),
        (GOOD + "max_bit_rate = 5", "max_bit_rate: 5 is not from 8000 to 1000000000"),
        (GOOD + "format = 'lavfy'", "format: ffmpeg knows no input format 'lavfy'; did you mean 'lavfi'?"),
        (GOOD + "format = 'zzz'", "ffmpeg knows no input format 'zzz'; ffmpeg -formats and -devices list"),
        (GOOD + "format = 'mpegts'\nloop = true", "content 'earth'.loop: a live input cannot be repeated"),
        (GOOD + "format = 'mpegts'\nlive = false", "content 'earth'.live: a source with a format, or a URL"),
        (GOOD + "paced = true", "content 'earth'.paced: only for live inputs"),
        (
            GOOD + "live = true\ninput_options = [1]",
            "content 'earth'.input_options: 1 is a number, expected text",
        ),
    ],
)
def test_each_mistake_is_one_line_with_file_key_and_mend(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "server.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file; give an existing one"):
        load_server_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_server_config(tmp_path)
    with pytest.raises(ConfigError, match=r"no valid JSON: .* \(at line 2, column 1\)"):
        load(tmp_path, "{\n", "server.json")
    with pytest.raises(ConfigError, match="expected an object"):
        load(tmp_path, "[]", "server.json")
    with pytest.raises(ConfigError, match="nested too deeply"):
        load(tmp_path, "[" * 100_000, "server.json")
    (tmp_path / "server.toml").write_bytes(b'"\xff"')
    with pytest.raises(ConfigError, match=r"not UTF-8 \(at line 1\)"):
        load_server_config(tmp_path / "server.toml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["content", "name", "source", "loop", "format", "live"]), inner, max_size=4
        )
    ),
)


@given(JSON)
def test_whatever_the_file_holds_it_is_accepted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(value))
    with contextlib.suppress(ConfigError):
        assert load_server_config(path, formats).contents


def test_a_transport_stream_may_be_sent_as_it_is(tmp_path: Path) -> None:
    assert one(tmp_path, source="udp://239.1.2.3:5000", copy=True).copy
    assert one(tmp_path, source="-", copy=True, format="mpegts").copy
    assert not one(tmp_path, source="udp://239.1.2.3:5000").copy


def test_standard_input_is_a_live_input_and_one_content_s_alone(tmp_path: Path) -> None:
    spec = one(tmp_path, source="-")
    assert (spec.live, spec.source, spec.path, spec.loop) == (True, "-", None, False)
    two = "".join(f'[[content]]\nname = "{name}"\nsource = "-"\n' for name in ("a", "b"))
    with pytest.raises(ConfigError, match=r"content 'b'\.source: 'a' reads standard input already"):
        load(tmp_path, two)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"source": "rtsp://camera/1"}, "copy: rtsp:// brings no MPEG-TS"),
        ({"source": "/dev/video0", "format": "v4l2"}, "copy: only MPEG-TS can be copied, not 'v4l2'"),
        ({"source": "udp://239.1.2.3:5000", "max_bit_rate": 9_000}, "max_bit_rate: a copied input is sent"),
        ({"source": "udp://239.1.2.3:5000", "audio": "all"}, "audio: a copied input is sent as it is"),
        ({"source": "earth.mp4"}, "copy: only for live inputs"),
    ],
)
def test_what_cannot_be_copied_is_said(tmp_path: Path, keys: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        one(tmp_path, copy=True, **keys)


@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_a_source_that_cannot_be_looked_at_is_told_of_when_it_is_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    file = tmp_path / "server.toml"
    file.write_text(f'[[content]]\nname = "live"\nsource = "{name}"\nformat = "mpegts"\n')
    (spec,) = load_server_config(file, formats=lambda: {"mpegts"}).contents
    assert not is_fifo(spec)
    with pytest.raises(SourceError):
        Cache(tmp_path / "cache").digest_of(tmp_path / name, lambda: False)
