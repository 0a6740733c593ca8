"""Sockets: framed TCP connections, UDP trains, and the threads that own them."""
