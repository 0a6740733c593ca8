"""Whatever ffprobe writes, or a damaged cache holds: it is read, or refused as what it is."""

import contextlib
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcast.media.source.complaints import SourceError
from mcast.media.source.live_tracks import LiveTracks, live_tracks
from mcast.media.source.prepare import Description
from mcast.media.source.probe import parse
from mcast.media.source.tracks import Wish

values = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 1 << 40), st.text(max_size=8),
    st.sampled_from(["N/A", "0/0", "25/1", "nan", "inf", "0x100", "eng", "1.5", ""]),
)  # fmt: skip
dispositions = st.dictionaries(st.sampled_from(["default", "attached_pic", "comment"]), st.integers(0, 1))
tags = st.dictionaries(st.sampled_from(["language", "title", "service_name"]), st.text(max_size=8))
numbers_in_words = st.sampled_from(["0", "1", "25/1", "0/0", "N/A", "1000000"])
streams = st.fixed_dictionaries(
    {
        "index": st.integers(0, 9),
        "codec_type": st.sampled_from(["video", "audio", "subtitle", "data", "attachment"]),
    },
    optional={
        "codec_name": st.sampled_from(["h264", "aac", "mjpeg", "dvb_subtitle", ""]),
        "profile": st.text(max_size=5),
        "width": st.integers(0, 9000),
        "height": st.integers(0, 9000),
        "pix_fmt": st.sampled_from(["yuv420p", "unknown"]),
        "field_order": st.sampled_from(["progressive", "tt", "unknown"]),
        "avg_frame_rate": numbers_in_words,
        "r_frame_rate": numbers_in_words,
        "nb_frames": st.sampled_from(["1", "250", "N/A"]),
        "channels": st.integers(0, 9),
        "sample_rate": st.sampled_from(["48000", "0"]),
        "id": st.sampled_from(["0x100", "256", "0x1fff"]),
        "disposition": dispositions,
        "tags": tags,
        "side_data_list": st.lists(st.fixed_dictionaries({"rotation": st.integers(-180, 180)}), max_size=1),
    },
)
programmes = st.fixed_dictionaries(
    {
        "program_num": st.integers(0, 9),
        "streams": st.lists(st.fixed_dictionaries({"index": st.integers(0, 9)})),
    },
    optional={"tags": tags},
)  # fmt: skip
probes = st.fixed_dictionaries(
    {},
    optional={
        "format": st.fixed_dictionaries(
            {}, optional={"format_name": st.text(max_size=9), "start_time": values}
        ),
        "streams": st.lists(streams, max_size=5),
        "programs": st.lists(programmes, max_size=2),
    },
)  # fmt: skip
wishes = st.builds(
    Wish, programme=st.sampled_from(["", "1", "news"]), video=st.none() | st.integers(0, 3),
    audio=st.sampled_from(["", "all", "eng", "0", "9"]),
)  # fmt: skip


@given(probes, wishes)
def test_whatever_a_source_holds_is_chosen_from_or_refused(found: dict[str, Any], wish: Wish) -> None:
    tracks = LiveTracks(())
    with contextlib.suppress(SourceError):
        tracks = live_tracks(parse(json.dumps(found)), wish)
        assert tracks.maps
    places = {f"0:{stream['index']}" for stream in found.get("streams", [])}
    pids = {f"0:i:{int(stream['id'], 0)}" for stream in found.get("streams", []) if "id" in stream}
    assert set(tracks.maps) <= places | pids


PROBE = {"streams": [{"index": 0, "codec_type": "video", "codec_name": "h264", "width": 16, "height": 16}]}
DESCRIPTION = Description(9, "ab", 90_000, {256: 3}, 0, "h264", 25_000, 16, 16)
no_objects = st.recursive(values, st.lists, max_leaves=5)


def shortened(data: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(data) - 1).map(lambda length: data[:length])


def without_a_field(fields: dict[str, object]) -> st.SearchStrategy[bytes]:
    return st.sampled_from(sorted(fields)).map(
        lambda lost: json.dumps({name: value for name, value in fields.items() if name != lost}).encode()
    )


def test_a_probe_and_a_description_that_are_whole_are_read() -> None:
    assert parse(json.dumps(PROBE)).streams.videos[0].width == 16
    assert Description.from_json(DESCRIPTION.to_json()) == DESCRIPTION


@given(
    st.text(max_size=60)
    | no_objects.map(json.dumps)
    | no_objects.map(lambda streams: json.dumps({"streams": streams}))
    | no_objects.map(lambda index: json.dumps({"streams": [PROBE["streams"][0] | {"index": [index]}]}))
    | shortened(json.dumps(PROBE).encode()).map(bytes.decode)
)
def test_what_is_no_probe_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        parse(text)


@given(
    st.binary(max_size=80)
    | no_objects.map(lambda value: json.dumps(value).encode())
    | shortened(DESCRIPTION.to_json())
    | without_a_field(json.loads(DESCRIPTION.to_json()))
    | st.integers().map(lambda counters: json.dumps(asdict(DESCRIPTION) | {"counters": counters}).encode())
)
def test_a_damaged_description_is_refused_by_one_of_three_errors(data: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Description.from_json(data)
