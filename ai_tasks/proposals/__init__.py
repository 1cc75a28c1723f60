"""Proposals: what an answer would change in a topic, hunk by hunk, until its user has decided about each.

``making`` makes one of a task's answer, ``current`` compares its hunks with what the topic says now, ``deciding``
carries out what the user accepts. How texts are compared and put together: ``notes.blocks.hunks``.
"""

from ai_tasks.proposals.current import shown
from ai_tasks.proposals.deciding import HunkDecided, ProposalChanged, ProposalDrifted, ProposalSuperseded, decide
from ai_tasks.proposals.making import base_of, make_proposal

__all__ = [
    "HunkDecided",
    "ProposalChanged",
    "ProposalDrifted",
    "ProposalSuperseded",
    "base_of",
    "decide",
    "make_proposal",
    "shown",
]
