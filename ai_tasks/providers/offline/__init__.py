"""Answers without a model, from sentences of the text itself, careful edits and the user's own notes. It invents
nothing.

The regular expressions here take linear time on any text. Python's regex engine holds the interpreter lock, so a slower
one would stop all other tasks of the process, and their heartbeat.
"""
