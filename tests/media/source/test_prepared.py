import itertools
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcast.errors import ConfigError
from mcast.media.source import prepared
from mcast.media.source.cutting import NULL_INTERVAL
from mcast.media.source.prepared import Prepared
from mcast.wire.mpegts import NULL_PACKET, ContinuityChecker
from mcast.wire.rtp import RtpHeader, payload_packets
from mcast.wire.train import MAX_TRAIN_BYTES, MAX_TRAIN_DATAGRAMS, Train
from media.source.transport import complaints, holes

Make = Callable[[str], Path]
SSRC = 0xCAFEBABE
READS = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(scope="module")
def film(entry: Make) -> Iterator[Prepared]:
    with Prepared(entry("fit.mp4"), 7, loop=True) as content:
        yield content


def trains(content: Prepared, first: int, end: int) -> Iterator[Train]:
    while first < end:
        train = content.train_at(first, SSRC, end - first)
        yield train
        first = train.next


def test_the_first_round_is_the_file_itself(entry: Make, film: Prepared) -> None:
    payload = film.payload(0, film.datagrams).replace(NULL_PACKET, b"")
    assert payload == (entry("fit.mp4") / "stream.ts").read_bytes()


@READS
@given(number=st.integers(0, 3_000), limit=st.integers(1, 100))
def test_a_train_is_what_it_says(film: Prepared, number: int, limit: int) -> None:
    train = film.train_at(number, SSRC, limit)
    assert train.first == number
    assert 1 <= train.count <= min(limit, MAX_TRAIN_DATAGRAMS)
    assert len(train.data) <= MAX_TRAIN_BYTES
    *full, last = train.datagrams()
    assert all(len(one) == train.size for one in full)
    assert len(last) <= train.size
    assert [n for n in train.keyframes() if n != number] == []
    for index, one in enumerate(train.datagrams()):
        header = RtpHeader.unpack(one)
        payload_packets(one)
        assert header.sequence == (number + index) & 0xFFFF
        assert header.ssrc == SSRC
        assert header.timestamp == (film.time_of(number + index) + film.description.first_pcr // 300) % 2**32


@READS
@given(first=st.integers(0, 2_000), count=st.integers(1, 200), limit=st.integers(1, 49))
def test_how_trains_are_divided_makes_no_difference_to_a_datagram(
    film: Prepared, first: int, count: int, limit: int
) -> None:
    one = [bytes(d) for train in trains(film, first, first + count) for d in train.datagrams()]
    other: list[bytes] = []
    while len(other) < count:
        other += map(
            bytes, film.train_at(first + len(other), SSRC, min(limit, count - len(other))).datagrams()
        )
    assert one == other


@READS
@given(number=st.integers(0, 3_000))
def test_a_number_is_due_when_its_time_has_come(film: Prepared, number: int) -> None:
    due = film.time_of(number)
    assert film.due_by(due) > number
    assert due == 0 or film.due_by(due - 1) <= number
    rounds, index = film.locate(number)
    assert (rounds * film.datagrams + index, film.time_of(number + film.datagrams)) == (
        number,
        due + film.period,
    )


def test_over_the_seams_time_never_goes_back_and_is_never_silent(film: Prepared) -> None:
    times = [film.time_of(number) for number in range(3 * film.datagrams)]
    assert all(0 <= after - before <= NULL_INTERVAL for before, after in pairwise(times))


@pytest.mark.parametrize(
    "name",
    ["fit.mp4", "open.mp4", "picture.mp4", "short-sound.mp4", "long-sound.mp4", "old.avi", "cover.mp3"],
)
def test_three_rounds_decode_without_a_warning_and_without_a_hole(
    entry: Make, tmp_path: Path, name: str
) -> None:
    with Prepared(entry(name), 7, loop=True) as content:
        data = content.payload(0, 3 * content.datagrams)
    checker = ContinuityChecker()
    checker.feed(data)
    assert checker.errors == 0
    target = tmp_path / "three.ts"
    target.write_bytes(data)
    assert complaints(target) == ""
    kinds = [kind for kind in ("video", "audio") if holes(target, kind)]
    assert kinds
    for kind in kinds:
        assert min(holes(target, kind)) > -0.001
        assert max(holes(target, kind)) < 0.06


def test_a_recording_over_the_33_bit_wrap_still_decodes(entry: Make, tmp_path: Path) -> None:
    with Prepared(entry("fit.mp4"), 7, loop=True) as content:
        rounds = (2**33 - content.description.first_pcr // 300) // content.period - 1
        first = rounds * content.datagrams
        target = tmp_path / "wrap.ts"
        target.write_bytes(content.payload(first, first + 3 * content.datagrams))
    assert complaints(target) == ""


def test_a_round_ends_where_the_content_does_not_loop(entry: Make, film: Prepared) -> None:
    with Prepared(entry("fit.mp4"), 7, loop=False) as once:
        assert (once.end, film.end) == (once.datagrams, None)
        assert once.due_by(10 * once.period) == once.datagrams
        assert once.digest == film.digest


def test_the_digest_names_how_the_bytes_are_cut(entry: Make, film: Prepared) -> None:
    with (
        Prepared(entry("fit.mp4"), 6, loop=True) as six,
        Prepared(entry("picture.mp4"), 7, loop=True) as other,
    ):
        assert len({film.digest, six.digest, other.digest}) == 3
        assert max(train.size for train in trains(six, 0, six.datagrams)) == 12 + 6 * 188


def test_still_pictures_and_sound_alone_are_never_silent(entry: Make) -> None:
    for name in ("still.png", "cover.mp3"):
        with Prepared(entry(name), 7, loop=True) as content:
            times = [content.time_of(number) for number in range(2 * content.datagrams)]
            assert max(after - before for before, after in pairwise(times)) <= NULL_INTERVAL
            assert content.train_at(0, SSRC).keyframes() == (0,)


def test_a_recording_is_found_and_can_be_compared(film: Prepared) -> None:
    start = next(
        n for n in range(film.datagrams + 1, 2 * film.datagrams) if film.train_at(n, 0).keyframes() == (n,)
    )
    recording = film.payload(start, start + 300)
    assert film.find(recording[: 7 * 188], rounds=3) == start
    assert film.find(recording[188:], rounds=3) is None


def test_a_damaged_entry_is_refused_and_a_damaged_table_made_anew(entry: Make, tmp_path: Path) -> None:
    copy = tmp_path / "entry"
    shutil.copytree(entry("fit.mp4"), copy)
    with Prepared(copy, 7, loop=True) as content:
        expected = content.payload(0, content.datagrams)
    table = next(copy.glob("cuts-7.*"))
    for damage in (b"", b"nonsense", table.read_bytes()[:-1]):
        table.write_bytes(damage)
        with Prepared(copy, 7, loop=True) as content:
            assert content.payload(0, content.datagrams) == expected
    (copy / "stream.ts").write_bytes(expected[:188])
    with pytest.raises(ConfigError, match="damaged cache entry"):
        Prepared(copy, 7, loop=True)
    (copy / "stream.json").write_text("{}")
    with pytest.raises(ConfigError, match="damaged cache entry"):
        Prepared(copy, 7, loop=True)


@pytest.mark.parametrize(("interrupted", "rounds"), [("write_header", 0), ("Train", 0), ("shift", 1)])
def test_ctrl_c_in_the_middle_of_a_train_is_what_the_caller_hears(
    entry: Make, monkeypatch: pytest.MonkeyPatch, interrupted: str, rounds: int
) -> None:
    """An interrupt may come anywhere, and its traceback holds what was in use there."""
    content = Prepared(entry("fit.mp4"), 7, loop=True)
    first = rounds * content.datagrams
    counts = itertools.count()

    def interrupt(*arguments: object) -> object:
        if next(counts):
            raise KeyboardInterrupt
        return original(*arguments)

    original = getattr(prepared, interrupted)
    monkeypatch.setattr(prepared, interrupted, interrupt)
    with pytest.raises(KeyboardInterrupt), content:
        content.payload(first, first + 200)
