"""Answers without a model: sentences of the text itself, careful edits, the user's own notes. Nothing is ever invented.

The regular expressions here take linear time on any text: Python's engine holds the interpreter lock, so one that does
not would stop every other task of the process, and its heartbeat.
"""
