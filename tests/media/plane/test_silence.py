"""The clock of silence: how it advances, and what it takes for suspect."""

from mcast.media.silence import GAP_MEMORY, MAX_RHYTHM, MAX_STEP, Silence
from mcast.media.timing import DEFAULT_TIMING


def let_pass(silence: Silence, begin: float, seconds: float) -> float:
    """Look every 10 ms; return when that is over."""
    for step in range(1, round(seconds * 100) + 1):
        silence.look(begin + step / 100)
    return begin + seconds


def test_a_look_advances_the_clock_by_30_ms_at_most() -> None:
    silence = Silence(0.0, DEFAULT_TIMING)
    silence.on_media(1.0, True)
    assert abs(silence.look(1.02) - 0.02) < 1e-9
    assert silence.look(60.0) == MAX_STEP
    assert abs(silence.signs - 0.05) < 1e-9


def test_a_report_ends_the_silence_but_not_that_of_media() -> None:
    silence = Silence(0.0, DEFAULT_TIMING)
    silence.on_media(1.0, True)
    now = let_pass(silence, 1.0, 0.1)
    silence.on_report(now, True)
    assert silence.signs == 0
    assert abs(silence.media - 0.1) < 1e-6
    silence.on_media(now, True)
    assert silence.media == 0


def test_the_longest_gap_is_learnt_and_forgotten_again() -> None:
    silence, now = Silence(0.0, DEFAULT_TIMING), 1.0
    silence.on_media(now, True)
    assert (silence.suspect, silence.sure) == (0.15, 0.3)
    now = let_pass(silence, now, 0.2)
    silence.on_report(now, True)
    assert abs(silence.suspect - 0.25) < 0.001
    assert abs(silence.sure - 0.40) < 0.001
    for _ in range(round(GAP_MEMORY * 50) - 100):
        now = let_pass(silence, now, 0.02)
        silence.on_media(now, True)
    assert abs(silence.suspect - 0.25) < 0.001
    for _ in range(round(GAP_MEMORY * 50) + 100):
        now = let_pass(silence, now, 0.02)
        silence.on_media(now, True)
    assert silence.suspect == 0.15


def test_a_failure_is_no_gap_to_learn_from() -> None:
    silence, now = Silence(0.0, DEFAULT_TIMING), 1.0
    silence.on_media(now, True)
    now = let_pass(silence, now, 0.4)
    silence.on_media(now, False)
    now = let_pass(silence, now, MAX_RHYTHM + 0.1)
    silence.on_media(now, True)
    assert silence.suspect == 0.15
