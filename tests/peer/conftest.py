from fixtures import crash, other_peer, peer, watcher

__all__ = ["crash", "other_peer", "peer", "watcher"]
