"""Answers questions from a student's own notes, and checks the quotes of an answer.

``passages`` finds the passages that fit a question, ``finding`` finds a quote in a block, ``verdicts`` gives each
sentence of an answer a verdict, ``states`` compares the quotes with the notes of today.
"""
