"""`mcast-client --list`: what nodes and servers say is shown, and nothing else happens to the terminal."""

import pytest

from client.neighbours import meanwhile
from helpers import FORGED
from mcast.roles.client.main import main
from mcast.wire.content import ContentInfo
from mcast.wire.node import ContentsPage, ListContents
from roles.partners import Peer


def test_what_a_server_says_of_its_contents_cannot_command_the_terminal(
    peer: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    form = FORGED[:-1]  # half a character cannot be sent
    with meanwhile(lambda: main(["--list", "--neighbour", peer.address])) as status:
        connection, asked = peer.question(ListContents)
        connection.send(
            ContentsPage(request=asked.request, contents=(ContentInfo("news", form),), text=FORGED)
        )
    assert status.result() == 0
    head, row, text = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in (head, row, text))
    assert head.index("FORMAT") == row.index(r"a\n12:00:00.000 ERROR b\u001b[31m\u2028\u202e")
    assert text.startswith(r"(a\n12:00:00.000 ERROR b")
