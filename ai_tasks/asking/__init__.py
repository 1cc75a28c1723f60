"""Questions to a student's own notes: what is read of them, and whether what an answer quotes stands there.

``passages`` finds what a question is about, ``finding`` finds a quote in a block, ``verdicts`` judges an answer by its
quotes, ``states`` compares the quotes of an answer with the notes of today.
"""
