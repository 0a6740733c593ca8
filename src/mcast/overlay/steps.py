"""What is done on the way from one state of a branch to the next: one function for each `Step`.

Each is told the branch and the occasion, changes what the branch knows, and returns the actions. Why a
step is taken is in table.py; nothing is decided here but *how*.
"""

from collections.abc import Callable, Mapping

from mcast.overlay import anew, knocking, renewal, server_news
from mcast.overlay.actions import (
    Action,
    Announce,
    AwaitDrain,
    CloseRelay,
    Receive,
    ServerParent,
    Subscribe,
    Supply,
    UpstreamId,
)
from mcast.overlay.admission import CUT_RETRY_MS, cut_off
from mcast.overlay.branch_data import BranchData, UpstreamEntry, Why
from mcast.overlay.candidates import SPARE_PATIENCE, Candidates
from mcast.overlay.events import Feed
from mcast.overlay.search import Search
from mcast.overlay.table import State, Step
from mcast.wire.identity import IdentityKind
from mcast.wire.node import REQUEST_ID_SIZE, MissReason, StopReason, in_words
from mcast.wire.rtcp import FeedState


def search(_branch: BranchData, _why: Why) -> list[Action]:
    """Do nothing: the search was handed in, and the core begins its floods when they are due."""
    return []


def seek(branch: BranchData, why: Why) -> list[Action]:
    branch.end_search()
    branch.trouble.told_no_way = branch.trouble.has_no_way = False
    if branch.others:  # asked in peace, it has accepted already: its media is on the way
        return []
    branch.candidates = Candidates(branch.spares(), SPARE_PATIENCE)
    if branch.candidates:
        branch.request = branch.chance.randbytes(REQUEST_ID_SIZE)
        return ask_next(branch, why)
    return search_on(branch, why)


def pair(branch: BranchData, why: Why) -> list[Action]:
    wanted = branch.spares() if branch.trial.target is None else [branch.trial.target]
    branch.end_search()
    if wanted:
        branch.candidates = Candidates(wanted)
        branch.request = branch.chance.randbytes(REQUEST_ID_SIZE)
        return ask_next(branch, why)
    branch.search = Search(branch.chance, why.now, 0.0)  # one flood: the next try is planned by pairing
    return []


def take_second(branch: BranchData, why: Why) -> list[Action]:
    assert why.upstream is not None
    if branch.trial.target is not None:  # that is for its measured path to decide
        return []
    entry, common = branch.upstreams[why.upstream], branch.overlap
    fields = (("content", branch.content), ("parent", str(entry.parent)), ("shared", common))
    text = f"[{branch.content}] fed by {entry.parent}, too; nodes that both paths share: {common}"
    told = Announce("second_parent", text, fields)
    if len(entry.path) + 1 >= len(branch.path):
        return [told]
    branch.make_primary(why.upstream)
    return [told, *tell(branch)]


def tell_better(branch: BranchData, why: Why) -> list[Action]:
    assert branch.primary is not None
    (other,) = branch.others
    parent, before = (str(branch.upstreams[each].parent) for each in (other, branch.primary))
    fields = (("content", branch.content), ("parent", parent), ("before", before), ("why", why.text))
    text = f"[{branch.content}] moves from {before} to {parent}: {why.text}"
    return [Announce("better_way", text, fields)]


def search_on(branch: BranchData, why: Why) -> list[Action]:
    # Without an end of its own: it may have begun before the state whose deadline ends it.
    is_sent_away = branch.me.kind is IdentityKind.CLIENT and branch.is_sent_away
    branch.candidates = Candidates(())
    if is_sent_away:
        branch.search = Search.for_handover(branch.chance, why.now)
    else:
        branch.search = Search.for_repair(branch.chance, why.now, doubt=branch.state is State.DOUBTED)
    return []


def stop_seeking(branch: BranchData, _why: Why) -> list[Action]:
    branch.end_search()
    branch.failed.clear()
    branch.trouble.has_no_way = branch.trouble.sends_on = False
    return branch.leave([upstream for upstream, entry in branch.upstreams.items() if not entry.accepted])


def ask_next(branch: BranchData, why: Why) -> list[Action]:
    parent = branch.candidates.take(why.now)
    assert parent is not None, "asked only where a candidate is left"
    branch.trouble.has_no_way = False
    upstream = next(branch.numbers)
    before, branch.asked_last = branch.asked_last, parent
    branch.upstreams[upstream] = UpstreamEntry(parent, asked_at=why.now)
    goes_on = not isinstance(parent, ServerParent) or parent.goes_on
    resumes = goes_on and branch.state is not State.JOINING
    request, onward = branch.request, branch.onward
    if (found_by := branch.candidates.found_by(parent)) is not None:
        request, onward = found_by.request, found_by.resume
    ask = Subscribe(
        upstream, branch.content, request, parent, branch.hops, branch.start, resumes,
        onward if goes_on and not resumes else None,
    )  # fmt: skip
    told = server_news.passed_over(branch, before, parent, why.text) if branch.state is State.JOINING else []
    return [*told, ask]


def wait_behind(branch: BranchData, why: Why) -> list[Action]:
    assert why.stream is not None
    pending = branch.search.request if branch.search is not None else branch.request
    return branch.admission.wait_behind(pending, why.stream, why.connection, why.source)


def admit(branch: BranchData, why: Why) -> list[Action]:
    assert why.stream is not None
    branch.note_admission()
    return branch.admission.admit(why.stream, why.connection, branch.path, branch.version, why.source)


def admit_all(branch: BranchData, _why: Why) -> list[Action]:
    branch.note_admission()
    return branch.admission.admit_all(branch.path, branch.version)


def refuse_cut(branch: BranchData, why: Why) -> list[Action]:
    assert why.stream is not None
    told = cut_off(branch.me)
    return [branch.admission.refuse(why.stream, why.connection, MissReason.CUT, told, retry_ms=CUT_RETRY_MS)]


def refuse_busy(branch: BranchData, why: Why) -> list[Action]:
    assert why.stream is not None
    return [branch.admission.refuse(why.stream, why.connection, MissReason.BUSY)]


def refuse_gone(branch: BranchData, why: Why) -> list[Action]:
    assert why.stream is not None
    return [branch.admission.refuse(why.stream, why.connection, MissReason.GONE, "it is about to end here")]


def refuse_all(branch: BranchData, why: Why) -> list[Action]:
    return branch.admission.refuse_all(why.refuse, why.text, why.failure, why.retry_ms)


def receive(branch: BranchData, why: Why) -> list[Action]:
    assert why.upstream is not None
    others = [other for other in branch.upstreams if other != why.upstream]
    branch.end_search()
    serves = server_news.taken(branch, branch.upstreams[why.upstream].parent)
    return [
        Receive(why.upstream, branch.content),
        *branch.leave(others),
        *serves,
    ]


def receive_too(branch: BranchData, why: Why) -> list[Action]:
    assert why.upstream is not None
    others = [o for o, entry in branch.upstreams.items() if o != why.upstream and not entry.accepted]
    branch.end_search()
    return [Receive(why.upstream, branch.content), *branch.leave(others)]


def drop(branch: BranchData, why: Why) -> list[Action]:
    assert branch.primary is not None
    gone, branch.primary = branch.primary, None
    speaks_again = why.end is StopReason.LEASE and branch.trouble.cut_at is not None
    if not branch.replaced and not speaks_again:  # else it is the first to be asked again
        branch.failed[branch.upstreams[gone].parent] = branch.upstreams[gone].path
    return branch.leave([gone])


def promote(branch: BranchData, why: Why) -> list[Action]:
    taken = _promoted(branch, why)
    is_renewal, cause = _is_renewal(branch, taken), _trouble(branch, why)
    gap_ms = max(branch.trouble.gap_ms, _ms_since(branch.trouble.cut_at, why.now))
    branch.make_primary(taken)
    branch.upstreams[taken].renews = False
    branch.trouble.gap_ms, branch.trouble.lost_by, branch.trouble.told = 0, "", ""
    if is_renewal:
        return [renewal.renewed(branch, why.now)]
    branch.parent_changes += 1
    parent = branch.upstreams[taken].parent
    fields = (("content", branch.content), ("parent", str(parent)), ("gap_ms", gap_ms))
    told = Announce("parent_taken", f"[{branch.content}] now fed by {parent}, after {gap_ms} ms", fields)
    return [told, *server_news.taken(branch, parent, cause)]


def _promoted(branch: BranchData, why: Why) -> UpstreamId:
    others = branch.others
    return why.upstream if why.upstream is not None and why.upstream in others else others[0]


def _is_renewal(branch: BranchData, taken: UpstreamId) -> bool:
    """Return whether the parent stays who it is, and only its silent connection is replaced."""
    return branch.upstreams[taken].renews and branch.is_silent and branch.trouble.cut_at is None


def _trouble(branch: BranchData, why: Why) -> str:
    """Say what is wrong with the parent in whose place another one is taken."""
    if branch.trouble.lost_by or branch.primary is None:
        return branch.trouble.lost_by
    feed = branch.upstreams[branch.primary].feed
    return why.text if feed is Feed.FED else feed.name.lower()


def _ms_since(moment: float | None, now: float) -> int:
    return 0 if moment is None else round((now - moment) * 1000)


def leave_others(branch: BranchData, _why: Why) -> list[Action]:
    branch.end_search()
    return branch.leave([upstream for upstream in branch.upstreams if upstream != branch.primary])


def begin_anew(branch: BranchData, why: Why) -> list[Action]:
    assert why.upstream is not None
    parent = branch.upstreams[why.upstream].parent
    cause = _trouble(branch, why)
    return [*anew.begin(branch, why), *tell(branch), *server_news.taken(branch, parent, cause)]


def renew(branch: BranchData, _why: Why) -> list[Action]:
    return tell(branch)


def tell_cut(branch: BranchData, why: Why) -> list[Action]:
    branch.trouble.begin(why.now)
    knocking.begin(branch, why.now)
    fields = (("content", branch.content), ("cause", why.text))
    told = Announce("cut", f"[{branch.content}] cut off: {why.text}", fields)
    return [told, Supply(branch.content, FeedState.CUT, branch.trouble.told_no_way), *tell(branch)]


def note_no_way(branch: BranchData, _why: Why) -> list[Action]:
    branch.trouble.has_no_way = True
    if branch.trouble.sends_on or not branch.is_sent_away:
        return []
    # The way may lead through what is below: then it is they who have to go there first.
    branch.trouble.sends_on = True
    return tell(branch)


def tell_no_way(branch: BranchData, _why: Why) -> list[Action]:
    if branch.trouble.told_no_way:
        return []
    branch.trouble.told_no_way = True
    return [Supply(branch.content, FeedState.CUT, no_way=True), *tell(branch)]


def tell_fed(branch: BranchData, why: Why) -> list[Action]:
    after_ms = _ms_since(branch.trouble.cut_at, why.now)
    branch.trouble.end()
    fields = (("content", branch.content), ("after_ms", after_ms))
    told = Announce("fed", f"[{branch.content}] fed again after {after_ms} ms", fields)
    return [told, Supply(branch.content, FeedState.FED), *tell(branch)]


def tell_doubted(branch: BranchData, _why: Why) -> list[Action]:
    assert branch.primary is not None
    parent = str(branch.upstreams[branch.primary].parent)
    fields = (("content", branch.content), ("parent", parent))
    text = f"[{branch.content}] nothing comes from {parent}: another one is asked beside it"
    return [Announce("parent_doubted", text, fields)]


def tell_lost(branch: BranchData, why: Why) -> list[Action]:
    assert why.upstream is not None
    return [_lost(branch, why.upstream, in_words(why.end, why.text), why.now)]


def tell_silent(branch: BranchData, why: Why) -> list[Action]:
    silent = branch.primary
    if silent is None or branch.upstreams[silent].feed not in (Feed.SILENT, Feed.REFUSED):
        return []
    if branch.others and _is_renewal(branch, _promoted(branch, why)):
        return []
    return [_lost(branch, silent, branch.upstreams[silent].feed.name.lower(), why.now)]


def _lost(branch: BranchData, upstream: UpstreamId, cause: str, now: float) -> Announce:
    entry = branch.upstreams[upstream]
    branch.trouble.lost, branch.trouble.lost_by = str(entry.parent), cause
    fields = (
        ("content", branch.content), ("parent", str(entry.parent)), ("cause", cause),
        ("after_ms", _ms_since(entry.media_at, now)),
    )  # fmt: skip
    return Announce("parent_lost", f"[{branch.content}] lost its parent {entry.parent}: {cause}", fields)


def tell_leaving(branch: BranchData, _why: Why) -> list[Action]:
    return tell(branch)


def await_drain(branch: BranchData, why: Why) -> list[Action]:
    assert branch.last is not None
    fields = (("content", branch.content), ("reason", why.text or "the content is over"))
    told = Announce("ended", f"[{branch.content}] is over with number {branch.last}", fields)
    return [told, AwaitDrain(branch.content, branch.last)]


def end_drained(branch: BranchData, why: Why) -> list[Action]:
    return branch.admission.end(why.drained, StopReason.END, branch.last, "")


def end_all(branch: BranchData, why: Why) -> list[Action]:
    reason = why.end if branch.last is None else StopReason.END
    text = why.text if branch.last is None else ""
    return branch.admission.end(tuple(branch.children), reason, branch.last, text)


def leave_all(branch: BranchData, _why: Why) -> list[Action]:
    branch.primary = None
    return branch.leave(list(branch.upstreams), branch.leave_reason)


def close(branch: BranchData, _why: Why) -> list[Action]:
    return [CloseRelay(branch.content)]


def tell(branch: BranchData, *, clients_only: bool = False) -> list[Action]:
    """Tell the children how it is; `clients_only`: those whom it is told with more than that.

    What they all know is not told again. A child hears of a cut twice, by an SR and by PORT: if it handed on
    both, its children would hear of it three times, and those at the end of a path of ten hops ten times.
    """
    word = branch.word
    if not clients_only:
        if word == branch.last_word:
            return []
        branch.last_word = word
    branch.version += 1
    return branch.admission.tell_all(
        word.path, branch.version, cut=word.cut, no_way=word.no_way, leaving=word.leaving,
        clients_only=clients_only,
    )  # fmt: skip


STEPS: Mapping[Step, Callable[[BranchData, Why], list[Action]]] = {
    Step.SEARCH: search,
    Step.SEEK: seek,
    Step.PAIR: pair,
    Step.TAKE_SECOND: take_second,
    Step.TELL_BETTER: tell_better,
    Step.SEARCH_ON: search_on,
    Step.STOP_SEEKING: stop_seeking,
    Step.ASK_NEXT: ask_next,
    Step.WAIT_BEHIND: wait_behind,
    Step.ADMIT: admit,
    Step.ADMIT_ALL: admit_all,
    Step.REFUSE_CUT: refuse_cut,
    Step.REFUSE_BUSY: refuse_busy,
    Step.REFUSE_GONE: refuse_gone,
    Step.REFUSE_ALL: refuse_all,
    Step.RECEIVE: receive,
    Step.RECEIVE_TOO: receive_too,
    Step.DROP: drop,
    Step.PROMOTE: promote,
    Step.LEAVE_OTHERS: leave_others,
    Step.BEGIN_ANEW: begin_anew,
    Step.RENEW: renew,
    Step.TELL_CUT: tell_cut,
    Step.NOTE_NO_WAY: note_no_way,
    Step.TELL_NO_WAY: tell_no_way,
    Step.TELL_FED: tell_fed,
    Step.TELL_DOUBTED: tell_doubted,
    Step.TELL_LOST: tell_lost,
    Step.TELL_SILENT: tell_silent,
    Step.TELL_LEAVING: tell_leaving,
    Step.AWAIT_DRAIN: await_drain,
    Step.END_DRAINED: end_drained,
    Step.END_ALL: end_all,
    Step.LEAVE_ALL: leave_all,
    Step.CLOSE: close,
}
