"""What is wrong with the way by which a content comes."""

from mcast.overlay.trouble import Trouble


def test_a_search_that_has_failed_before_the_cut_is_told_with_it() -> None:
    trouble = Trouble(has_no_way=True)
    trouble.begin(2.0)
    assert (trouble.cut_at, trouble.told_no_way) == (2.0, True)
    trouble = Trouble()
    trouble.begin(2.0)
    assert (trouble.cut_at, trouble.told_no_way) == (2.0, False)


def test_media_that_comes_again_ends_it_and_the_gap_is_known_still() -> None:
    trouble = Trouble(lost_by="silent", gap_ms=300, has_no_way=True)
    trouble.begin(2.0)
    trouble.end()
    assert (trouble.cut_at, trouble.told_no_way, trouble.lost_by) == (None, False, "")
    assert trouble.gap_ms == 300
