"""Language data for quizzes and recalls: number formats, stop words, and words of negation."""

# ruff: noqa: RUF001  # letters that look like others are meant

import re

DECIMAL_COMMA = frozenset(
    "af az be bg bs ca cs da de el es et eu fi fr gl hr hu hy id is it ka kk lt lv mk nb nl nn no pl pt ro ru sk sl sq "
    "sr sv tr uk uz vi".split()
)
"""Languages that write 1.000,5 or 1 000,5; all others write 1,000.5. Source: CLDR, decimal symbols."""

_FUNCTION_WORDS = {
    "en": "the a an and or of to in on at by for from with as is are was were be been it its this that which who "
    "there has have had does do did but than then into",
    "de": "der die das den dem des ein eine einen einem einer eines und oder von zu zum zur im in am an auf bei für "
    "mit aus als ist sind war waren wird werden es sie er sich dass hat haben aber durch nach",
    "fr": "le la les un une des du de et ou dans sur en au aux par pour avec est sont était il elle ce cette qui que "
    "se son sa ses",
    "es": "el la los las un una unos unas y o de del en con por para es son era fue se su sus que como al",
    "it": "il lo la i gli le un uno una e o di del della dei in nel nella con per è sono era si che da al alla",
    "pt": "o a os as um uma e ou de do da dos das em no na com por para é são era se que ao",
    "nl": "de het een en of van in op te met voor is zijn was wordt dat die er bij aan",
    "sv": "en ett och eller av i på till med för är var som det den att har",
    "da": "en et og eller af i på til med for er var som det den at har",
    "pl": "i lub w na z do od jest są był była to się że o przez po",
    "ru": "и или в на с из к от для по это был была было были есть что как о",
}
FUNCTION_WORDS = frozenset(word for words in _FUNCTION_WORDS.values() for word in words.split())
_BY_LANGUAGE = {language: frozenset(words.split()) for language, words in _FUNCTION_WORDS.items()}

NEGATIONS = frozenset(
    # en, de, fr, es, it, pt, nl, sv, da, nb, pl, cs, ru, uk, el, tr, id, ar, he, hi
    "not no never cannot without neither nor none nobody nothing "
    "nicht kein keine keinen keinem keiner keines nie niemals ohne weder nichts niemand nirgends "
    "ne n pas jamais aucun aucune sans rien ni "
    "nunca jamás sin ningún ninguna ninguno nada nadie tampoco "
    "non mai senza nessun nessuno nessuna niente nulla né "
    "não sem nenhum nenhuma ninguém nem "
    "niet geen nooit zonder niets niemand "
    "inte ej aldrig ingen inget inga utan ikke aldri uden uten "
    "nie bez nigdy żaden żadna żadne není nikdy žádný "
    "не нет никогда без ни нельзя ні ніколи "
    "δεν μη μην όχι χωρίς ποτέ "
    "değil yok hiç tidak bukan tanpa "
    "لا ليس ليست لم لن غير بدون לא אין בלי नहीं न मत बिना".split()
)
"""Words that negate what follows them, as in running text. Portuguese "no" ("in the") counts too: usually both compared
texts contain it."""

DENYING_LETTERS = re.compile("ない|なかった|ません|不|没|沒|无|無|非|未|않|없|아니")
"""Negations inside words, in Japanese, Chinese and Korean."""

BUT = frozenset("but sondern aber mais pero sino ma mas maar men utan ale но αλλά ama".split())
"""Words that end the scope of a negation."""


def language_of(text: str, *, default: str = "") -> str:
    """The language, of eleven, with most stop words in the text; ``default`` if there are hardly any."""
    words = re.findall(r"[^\W\d_]+", text[:5000].lower())
    counts = {language: sum(word in known for word in words) for language, known in _BY_LANGUAGE.items()}
    best = max(counts, key=lambda language: counts[language])
    if counts[best] < 2 or list(counts.values()).count(counts[best]) > 1:
        return default
    return best


def preferred_language(header: str | None) -> str:
    """The preferred language of an ``Accept-Language`` header, such as ``de``; empty if it names none."""
    first = re.match(r"\s*([A-Za-z]{2,3})(?=[-_,;\s]|\Z)", header or "")
    return first[1].lower() if first else ""


def decimal_mark(language: str) -> str:
    return "," if language in DECIMAL_COMMA else "."
