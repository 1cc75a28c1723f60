"""Converts Anki notes to cards: question, answer, and learning state.

A note with cloze deletions becomes one ``cloze`` card. A note with two cards that ask for each other becomes a
``reversed`` card. Every card of any other note becomes a ``basic`` card, rendered by its template.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from notes.markdown.archives import UnreadableArchive
from notes.models import TAGS_MAX
from notes.tags import InvalidTag, distinct_tags, normalize_tag
from study.anki import templates, texts
from study.anki.exporting import DECK_NAME
from study.anki.schedules import SUSPENDED
from study.faces import InvalidCloze, faces_of
from study.models import SIDE_MAX_BYTES

_DEFAULT_DECK = "Default"
_OCCLUSION = "image-occlusion:"
_RULE = re.compile(r"<hr\b[^<>]*\bid=[\"']?answer\b[^<>]*>", re.IGNORECASE)
"""The rule between question and answer, by Anki's convention."""
_LEADING = re.compile(r"(?:\s|<[hb]r\b[^<>]*>)*", re.IGNORECASE)


@dataclass(slots=True)
class ImportedCard:
    """A card to create. ``part`` identifies it within its note; ``learned`` maps our faces to Anki's cards."""

    guid: str
    part: str
    kind: str
    front: str
    back: str
    tags: list[str]
    suspended: bool
    learned: dict[int, dict[str, Any]] = field(default_factory=dict)


class LeftOut(ValueError):
    """A card that cannot be imported; the message gives the reason for the report."""


@dataclass(slots=True)
class Reader:
    """Converts notes to cards, and counts what is left out."""

    header: Mapping[str, Any]
    picture: texts.Picture
    left_out: Counter[str] = field(default_factory=Counter)
    """The number of cards left out, by reason."""
    lost: Counter[str] = field(default_factory=Counter)
    """The number of lost sounds, pictures and tags."""

    def drafts(self, note: Mapping[str, Any]) -> Iterator[ImportedCard]:
        """Yield the cards of one note. Raises ``UnreadableArchive`` if the package lacks its note type."""
        model = self.header["models"].get(note["model"])
        if model is None:
            raise UnreadableArchive("The package has notes of an unknown note type.")
        try:
            if model["is_cloze"]:
                yield self._cloze(note, model)
            else:
                yield from self._basic(note, model)
        except (LeftOut, templates.CannotShow, texts.TooLong) as error:
            self.left_out[str(error) or "too long"] += max(1, len(note["cards"]))

    def _cloze(self, note: Mapping[str, Any], model: Mapping[str, Any]) -> ImportedCard:
        question, answer = self._templates(model, 0)
        fields = self._fields(note, model, 0)
        if any(_OCCLUSION in text for text in note["fields"]):
            raise LeftOut("image occlusion")
        front = self._markdown(_filled(question, fields, is_question=True))
        back = self._markdown(_filled(answer, fields, with_cloze=False))
        try:
            faces = set(faces_of("cloze", front))
        except InvalidCloze as error:
            raise LeftOut("unsupported deletions") from error
        cards = {card["n"] + 1: card for card in note["cards"] if card["n"] + 1 in faces}
        return self._draft(note, "", "cloze", front, back, cards)

    def _basic(self, note: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[ImportedCard]:
        sides: dict[int, tuple[str, str]] = {}
        cards = {card["n"]: card for card in note["cards"]}
        for n in cards:
            question, answer = self._templates(model, n)
            fields = self._fields(note, model, n)
            asked = _filled(question, fields, is_question=True)
            sides[n] = self._markdown(asked), self._markdown(_without_question(_filled(answer, fields), asked))
        if _ask_for_each_other(sides) and _are_suspended_alike(cards):
            yield self._draft(note, "", "reversed", *sides[0], {1: cards[0], 2: cards[1]})
            return
        for n, (front, back) in sides.items():
            try:
                yield self._draft(note, str(n), "basic", front, back, {1: cards[n]})
            except LeftOut as error:
                self.left_out[str(error)] += 1

    def _templates(self, model: Mapping[str, Any], n: int) -> tuple[str, str]:
        found = model["templates"].get(str(n))
        if found is None:
            raise LeftOut("missing template")
        return found[0], found[1]

    def _fields(self, note: Mapping[str, Any], model: Mapping[str, Any], n: int) -> dict[str, str]:
        deck = self._deck(note)
        own = {
            "Tags": " ".join(note["tags"]),
            "Type": model["name"],
            "Deck": deck,
            "Subdeck": deck.rpartition("::")[2],
            "Card": f"Card {n + 1}",
            "CardFlag": "",
        }
        return {**own, **dict(zip(model["fields"], note["fields"], strict=False))}

    def _deck(self, note: Mapping[str, Any]) -> str:
        return next((self.header["decks"].get(card["deck"], "") for card in note["cards"]), "")

    def _markdown(self, html: str) -> str:
        return texts.to_markdown(_LEADING.sub("", html, count=1), picture=self.picture, told=self._lose)

    def _lose(self, what: str) -> None:
        self.lost[what] += 1

    def _draft(
        self,
        note: Mapping[str, Any],
        part: str,
        kind: str,
        front: str,
        back: str,
        cards: dict[int, dict[str, Any]],
    ) -> ImportedCard:
        if not front:
            raise LeftOut("nothing to show")
        if max(len(front.encode()), len(back.encode())) > SIDE_MAX_BYTES:
            raise LeftOut("too long")
        suspended = bool(cards) and all(card["queue"] == SUSPENDED for card in cards.values())
        return ImportedCard(note["guid"], part, kind, front, back, self._tags(note), suspended, cards)

    def _tags(self, note: Mapping[str, Any]) -> list[str]:
        """The note's tags, and the name of its deck."""
        deck = self._deck(note)
        found = []
        for text in [*note["tags"], *([deck] if deck not in ("", _DEFAULT_DECK, DECK_NAME) else [])]:
            try:
                found.append(normalize_tag(text.replace(",", " ")))
            except InvalidTag:
                self.lost["tag"] += 1
        return distinct_tags(list(dict.fromkeys(found))[:TAGS_MAX])


def _filled(template: str, fields: Mapping[str, str], *, is_question: bool = False, with_cloze: bool = True) -> str:
    return templates.fill(template, fields, is_question=is_question, with_cloze=with_cloze)


def _without_question(answer: str, question: str) -> str:
    """The answer without the question that its template repeats at the start."""
    shown = _RULE.split(answer, maxsplit=1)
    return shown[1] if len(shown) == 2 and shown[0].strip() in ("", question.strip()) else answer


def _ask_for_each_other(sides: Mapping[int, tuple[str, str]]) -> bool:
    return set(sides) == {0, 1} and sides[0] == sides[1][::-1] and all(sides[0])


def _are_suspended_alike(cards: Mapping[int, Mapping[str, Any]]) -> bool:
    return len({card["queue"] == SUSPENDED for card in cards.values()}) == 1
