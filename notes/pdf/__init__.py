"""A note as a PDF, typeset by Typst in a process of its own.

``process`` is what that process runs: it turns the note's Markdown (``tree``) and its formulas (``formulas``) into
plain data, which ``template.typ`` lays out. A note's text is never Typst markup. Nothing here imports Django.
"""
