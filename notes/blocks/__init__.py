"""Blocks: the parts of a topic's explanation (headings, paragraphs, lists ...), with ids that survive edits.

``splitting`` cuts a text into blocks, ``matching`` finds which block of a new text is which of the old one, ``stored``
keeps the ids beside the text, and ``changes`` tells other apps what became of them. ``hunks`` compares texts block by
block, and ``carrying_out`` makes some of the changes.
"""
