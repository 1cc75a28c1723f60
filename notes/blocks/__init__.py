"""Blocks: the parts of a topic's explanation (headings, paragraphs, lists ...), with ids that survive edits.

``splitting`` cuts a text into blocks. ``matching`` matches the blocks of two versions of a text. ``stored`` stores the
ids next to the text, and notifies other apps of changes. ``hunks`` compares texts block by block, and ``carrying_out``
applies selected hunks.
"""
