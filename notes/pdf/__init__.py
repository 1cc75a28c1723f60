"""A note as a PDF, typeset by Typst in a separate process.

That process runs ``process``, which converts the note's Markdown (``tree``) and its formulas (``formulas``) to plain
data, which ``template.typ`` lays out. A note's text is never Typst markup. No module here imports Django.
"""
