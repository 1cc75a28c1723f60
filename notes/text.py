"""How texts are compared."""

import unicodedata


def fold(text: str) -> str:
    """Trim, case-fold and compose (NFC), so that texts which read alike are equal."""
    # Decomposed first: folding composed text leaves some sequences that fold further.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold()).strip()
