"""mcast: live audio and video over an application-level multicast overlay."""

__version__ = "0.1.0"
