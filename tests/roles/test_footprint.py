"""What a node holds: it loads nothing that only its options need, and a child is small."""

import subprocess
import sys

NEEDLESS = (
    "ssl", "_hashlib",  # OpenSSL: for who has a key
    "subprocess", "mcast.roles.node.workers.pool",  # for who has workers
    "shutil", "bz2", "lzma", "zlib",  # argparse, for the terminal's width
    "http", "email", "urllib.request", "tomllib", "asyncio", "base64", "tempfile",
    "mcast.client", "mcast.gateway", "mcast.web", "mcast.media.source",
)  # fmt: skip


def test_a_node_loads_nothing_that_only_its_options_or_other_programs_need() -> None:
    script = f"""
import sys
from mcast.roles import cli
from mcast.roles.node.main import PROGRAM
cli.parser_of(PROGRAM).parse_args(["--bootstrap", "127.0.0.1:4000"])
print(*sys.modules.keys() & set({NEEDLESS!r}))
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    assert not loaded.stdout.split()
