"""What is wrong with the way by which a content comes, and what of it has been told."""

from dataclasses import dataclass


@dataclass(slots=True)
class Trouble:
    """Of one content at one node. Times are monotonic seconds."""

    cut_at: float | None = None  # no media comes since then
    cut_by_word: bool = False  # the parent's PORT said so; its media has not stopped yet
    lost: str = ""  # the last parent that was lost
    lost_by: str = ""  # and how
    told: str = ""  # why it has given up the stream, in its words
    gap_ms: int = 0  # for how long no media has come in the present trouble, or the last
    has_no_way: bool = False  # since the parent has been suspected
    told_no_way: bool = False
    sends_on: bool = False  # the children, as the parent is about to end and no way was found

    def begin(self, now: float) -> None:
        """Take in that no media comes from now on; a search may have failed before."""
        self.cut_at, self.told_no_way = now, self.has_no_way

    def end(self) -> None:
        """Take in that media comes again."""
        self.cut_at, self.told_no_way, self.lost_by, self.told = None, False, "", ""
