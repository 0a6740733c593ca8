"""What a node holds: it loads nothing that only its options need, and a child is small."""

import subprocess
import sys

NEEDLESS = (
    "ssl", "_hashlib",  # OpenSSL: for who has a key
    "subprocess", "mcast.roles.node.workers.pool",  # for who has workers
    "http", "email", "urllib.request", "tomllib", "asyncio", "base64", "tempfile",
    "mcast.client", "mcast.gateway", "mcast.web", "mcast.media.source",
)  # fmt: skip


def test_a_node_loads_nothing_that_only_its_options_or_other_programs_need() -> None:
    script = f"import sys, mcast.roles.node.main; print(*sys.modules.keys() & set({NEEDLESS!r}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert not loaded.split()
