"""How long a server waits for a client. No Django here: gunicorn's master reads this module."""

from NoteAssist_AI import env

HEADER_SECONDS = env.seconds("HEADER_SECONDS", 10, minimum=0.1)
BODY_SECONDS = env.seconds("BODY_SECONDS", 30, minimum=0.1)
UNSENT_SECONDS = 30
"""Drop clients that receive nothing for this long."""
CLOSING_SECONDS = 5
"""How long a client that has the last response of its connection may pause before it ends the connection.

One that still sends is read on until ``BODY_SECONDS`` after its request began: many send all before they read.
"""
DISCARDED_MAX = 64 * 1024 * 1024
"""Bytes that are read on of one request: more than the longest upload has."""
