"""Notes as Markdown files: written, read back exactly, and read from other programs' exports.

Everything here works on texts and plain data; what reads or writes tables is in ``notes.services``.
"""
