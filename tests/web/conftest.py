from fixtures import crash

__all__ = ["crash"]
