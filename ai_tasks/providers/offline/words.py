"""Selects the words of a text that carry its meaning."""

import re

_WORD = re.compile(r"[^\W_]+")
STOPWORDS = frozenset(
    """
    a about above after again all also although always am among an and another any are as at be because been before
    being below between both but by can cannot could did do does doing down during each either else even ever every
    few for from further get gets got had has have having he her here hers him his how however i if in instead into
    is it its itself just like made make makes many may me might more most much must my need no nor not now of off
    often on once one only or other our out over own per quite rather really same she should since so some such than
    that the their them then there these they this those though through thus to too under until up upon us use used
    uses using very was way we well were what when where whether which while who whom whose why will with within
    without would yes yet you your
    """.split()
)
# Words that phrase a request and do not name its subject.
ASKING = frozenset("explain explanation describe example examples code program write show please introduction".split())


def key_words(text: str) -> list[str]:
    """The meaningful words in lower case, plurals reduced to the singular."""
    return [_singular(word) for word in _WORD.findall(text.lower()) if len(word) > 2 and word not in STOPWORDS]


def search_terms(text: str, *, limit: int) -> list[str]:
    """The distinct words to search for, in order. If all are stop words they are kept, so the result is not empty."""
    words = list(dict.fromkeys(_WORD.findall(text.lower())))
    telling = [word for word in words if len(word) > 1 and word not in STOPWORDS and word not in ASKING]
    return (telling or words)[:limit]


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
