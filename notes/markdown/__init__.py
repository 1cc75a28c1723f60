"""Notes as Markdown files: writing them, reading them back exactly, and reading exports of other programs.

All code here works on texts and plain data; code that reads or writes tables is in ``notes.services``.
"""
