"""Makes a quiz: chooses facts and the kinds of questions. The same material and seed give the same quiz.

Each question has exactly one right answer, which the student's own texts show. Ambiguous questions are left out.
"""

# ruff: noqa: RUF001  # letters that look like others are meant

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID, uuid5

from study.quizzes.answers import all_differ, keys, same_answer, stands_in
from study.quizzes.material import (
    ANSWER_MAX,
    GAP,
    ITEMS_MAX,
    AskedCard,
    Fact,
    QuizPassage,
    content_of,
    facts_of_cards,
    facts_of_passages,
    statement_key,
    steps_of_passages,
)

KINDS = ("choice", "gap", "order", "match")
DISTRACTORS_MIN, DISTRACTORS_MAX = 2, 3
PAIRS_MIN, PAIRS_MAX = 3, 5
FACTS_MAX = 400
"""The maximum number of facts from passages, chosen at random."""
STEPS_MAX = 50
TRUE_ANSWERS_MAX = 10
_LOOKED_AT = 60
"""How many candidates are considered as distractors of one question."""
ORDER_PROMPT = "Put these in order."
MATCH_PROMPT = "Match what belongs together."

Question = dict[str, Any]
"""A question as shown; its solution is stored separately."""
Made = tuple[Question, dict[str, Any]]
"""A question and its solution."""


def make_questions(
    *,
    quiz_id: UUID,
    seed: int,
    cards: Sequence[AskedCard],
    passages: Sequence[QuizPassage],
    kinds: Sequence[str],
    count: int,
    language: str,
) -> tuple[list[Question], list[dict[str, Any]]]:
    """Make at most ``count`` questions, rotating through these kinds, each with its solution.

    The first round has one question of every kind that has material, up to ``count``.
    """
    maker = _Maker(random.Random(seed), cards, passages, language)
    made = maker.first_turn(kinds, count)
    turn = [kind for kind, _ in made]
    while turn and len(made) < count:
        kind = turn.pop(0)
        if (another := next(maker.offered[kind], None)) is not None:
            turn.append(kind)
            made.append((kind, another))
    # An id reveals nothing: it derives from the quiz's id and the position.
    questions = [
        {"id": str(uuid5(quiz_id, str(at))), "kind": kind, **question} for at, (kind, (question, _)) in enumerate(made)
    ]
    return questions, [solution for _, (_, solution) in made]


class _Maker:
    def __init__(
        self, rng: random.Random, cards: Sequence[AskedCard], passages: Sequence[QuizPassage], language: str
    ) -> None:
        self._rng = rng
        drawn = rng.sample(passages, len(passages))
        of_passages = islice(facts_of_passages(drawn, language=language), FACTS_MAX)
        facts = [*facts_of_cards(cards, language=language), *of_passages]
        self._answers: dict[str, list[Fact]] = {}
        """Facts by what they ask: all true answers to one question are known."""
        self._facts: list[Fact] = []
        seen: set[tuple[str, object]] = set()
        for fact in facts:
            asked = statement_key(fact.prompt)
            said = {(asked, key) for key in keys(fact.answer, fact.decimal)}
            if not seen & said:
                self._answers.setdefault(asked, []).append(fact)
                self._facts.append(fact)
            seen |= said
        self._steps = list(islice(steps_of_passages(drawn, language=language), STEPS_MAX))
        rng.shuffle(self._facts)
        self._facts.sort(key=lambda fact: fact.sort == "word")  # the weakest come last
        rng.shuffle(self._steps)
        self._begin()

    def _begin(self) -> None:
        """Reset the state for a new quiz."""
        self._used: set[str] = set()
        self._asked: list[Fact] = []
        self._shown: list[tuple[str, frozenset[str]]] = []
        """The texts that questions show, with their content words."""
        self.offered: dict[str, Iterator[Made]] = {
            "choice": self._choices(),
            "gap": self._gaps(),
            "order": self._orders(),
            "match": self._matches(),
        }
        """Candidate questions by kind. Material used by one question is never used by another, of any kind."""

    def first_turn(self, kinds: Sequence[str], count: int) -> list[tuple[str, Made]]:
        """Start the quiz with one question of each kind, in this order.

        One kind may use up the material of another. So another order is tried in which the kinds without a question
        come first; if no order serves all kinds, the best one wins.
        """
        order = list(kinds)
        tries: list[tuple[list[str], int]] = []
        start = self._rng.getstate()
        while True:
            made = self._try(order, count)
            tries.append((order, len(made)))
            late = [
                kind for kind in order[1:] if kind not in made
            ]  # a kind that came first and got nothing has no material
            if not late or len(made) == count:
                break
            order = [*late, *made]
            if order in [tried for tried, _ in tries]:
                break
            self._rng.setstate(start)
        best, most = max(tries, key=lambda one: one[1])
        if most > len(made):
            self._rng.setstate(start)
            made = self._try(best, count)
        return [(kind, made[kind]) for kind in kinds if kind in made]

    def _try(self, order: Sequence[str], count: int) -> dict[str, Made]:
        self._begin()
        made: dict[str, Made] = {}
        for kind in order:
            if len(made) < count and (one := next(self.offered[kind], None)) is not None:
                made[kind] = one
        return made

    def _take(self, facts: Sequence[Fact], uses: frozenset[str], shown: Sequence[str]) -> bool:
        """Use these facts, unless a question shares their material, or one reveals the answer of the other."""
        if self._used & uses:
            return False
        texts = [(text, content_of(text)) for text in shown]
        if any(_gives_away(fact, *text) for fact in facts for text in self._shown):
            return False
        if any(_gives_away(fact, *text) for fact in self._asked for text in texts):
            return False
        self._used |= uses
        self._asked += facts
        self._shown += texts
        return True

    def _true_answers(self, fact: Fact) -> list[Fact]:
        return self._answers[statement_key(fact.prompt)]

    def _is_unique(self, fact: Fact) -> bool:
        return len(self._true_answers(fact)) == 1

    def _choices(self) -> Iterator[Made]:
        for fact in self._facts:
            if self._used & fact.uses or fact.sort == "word" or len(self._true_answers(fact)) > TRUE_ANSWERS_MAX:
                continue  # another word of the same sentence may still work
            distractors = self._distractors(fact)
            if len(distractors) < DISTRACTORS_MIN or not self._take([fact], fact.uses, [fact.prompt]):
                continue
            choices = [fact.answer, *distractors]
            self._rng.shuffle(choices)
            yield {"prompt": fact.prompt, "choices": choices}, _solution(fact, choices.index(fact.answer))

    def _distractors(self, fact: Fact) -> list[str]:
        """Wrong answers taken from other facts, the most similar first."""
        others = [
            other
            for other in self._facts
            if other is not fact and other.sort != "word" and other.is_number == fact.is_number
        ]

        def unlikeness(other: Fact) -> tuple[bool, bool]:
            return other.is_dense != fact.is_dense, other.sort != fact.sort

        others.sort(key=lambda other: (*unlikeness(other), abs(len(other.answer) - len(fact.answer))))
        near = others[:_LOOKED_AT]
        self._rng.shuffle(near)
        near.sort(key=unlikeness)
        found: list[str] = []
        true = self._true_answers(fact)
        for other in near:
            if len(found) == DISTRACTORS_MAX:
                break
            if self._could_be_right(fact, other, true) or (fact.is_number and other.sort != fact.sort):
                continue
            if all_differ([fact.answer, *found, other.answer], decimal=fact.decimal):
                found.append(other.answer)
        return found

    def _could_be_right(self, fact: Fact, other: Fact, true: Sequence[Fact]) -> bool:
        if any(_overlap(one.answer, other.answer, fact.decimal) for one in true):
            return True
        if stands_in(other.answer, fact.statement):
            return True
        # "Venus is also a planet" makes Venus a right answer to "____ is a planet".
        return fact.content <= other.content or other.content <= fact.content

    def _gaps(self) -> Iterator[Made]:
        for fact in self._facts:
            if fact.is_typed and self._is_unique(fact) and self._take([fact], fact.uses, [fact.prompt]):
                prompt = fact.prompt if GAP in fact.prompt else f"{fact.prompt}\n\n{GAP}"
                yield {"prompt": prompt}, _solution(fact, fact.answer)

    def _orders(self) -> Iterator[Made]:
        for steps in self._steps:
            if not self._take([], steps.uses, steps.items):
                continue
            first = self._rng.randrange(max(1, len(steps.items) - ITEMS_MAX + 1))
            right = list(steps.items[first : first + ITEMS_MAX])
            shown = self._rng.sample(right, len(right))
            ids = {text: str(at) for at, text in enumerate(shown, 1)}
            question = {
                "prompt": f"{steps.lead}\n\n{ORDER_PROMPT}" if steps.lead else ORDER_PROMPT,
                "items": [{"id": ids[text], "text": text} for text in shown],
            }
            explanation = "\n".join(f"{at}. {text}" for at, text in enumerate(right, 1))
            expected = [ids[text] for text in right]
            yield question, {"expected": expected, "explanation": explanation, "quote": steps.quote}

    def _matches(self) -> Iterator[Made]:
        pairs = [fact for fact in self._facts if self._is_pair(fact)]
        while len(pairs) >= PAIRS_MIN:
            chosen: list[Fact] = []
            for fact in pairs:
                if len(chosen) < PAIRS_MAX and not self._used & fact.uses and _fits(fact, chosen):
                    chosen.append(fact)
            if len(chosen) < PAIRS_MIN:
                return
            pairs = [fact for fact in pairs if fact not in chosen]
            uses = frozenset().union(*(fact.uses for fact in chosen))
            shown = [side for fact in chosen if fact.pair for side in fact.pair]
            if self._take([], uses, shown):
                yield self._match(chosen)

    def _is_pair(self, fact: Fact) -> bool:
        return fact.pair is not None and max(map(len, fact.pair)) <= ANSWER_MAX and self._is_unique(fact)

    def _match(self, facts: Sequence[Fact]) -> Made:
        pairs = [fact.pair for fact in facts if fact.pair is not None]
        lefts = self._rng.sample([left for left, _ in pairs], len(pairs))
        rights = self._rng.sample([right for _, right in pairs], len(pairs))
        left_ids = {text: str(at) for at, text in enumerate(lefts, 1)}
        right_ids = {text: str(at) for at, text in enumerate(rights, 1)}
        question = {
            "prompt": MATCH_PROMPT,
            "pairs": {
                "left": [{"id": left_ids[text], "text": text} for text in lefts],
                "right": [{"id": right_ids[text], "text": text} for text in rights],
            },
        }
        partners = {left_ids[left]: right_ids[right] for left, right in pairs}
        expected = {left: partners[left] for left in sorted(partners)}
        cards = {left_ids[fact.pair[0]]: [str(fact.card[0]), fact.card[1]] for fact in facts if fact.card and fact.pair}
        solution: dict[str, Any] = {
            "expected": expected,
            "explanation": "\n".join(f"{left} – {right}" for left, right in pairs),
            "quote": next((fact.quote for fact in facts if fact.quote), None),
        }
        return question, {**solution, "cards": cards} if cards else solution


def _solution(fact: Fact, expected: Any) -> dict[str, Any]:
    solution = {"expected": expected, "explanation": fact.statement, "quote": fact.quote}
    if isinstance(expected, str):
        solution |= {"decimal": fact.decimal, "accepted": list(fact.accepted)}
    if fact.card:
        solution["card"] = [str(fact.card[0]), fact.card[1]]
    return solution


def _gives_away(fact: Fact, text: str, content: frozenset[str]) -> bool:
    """Whether a text contains the answer of a fact and part of its question."""
    return bool(fact.content & content) and stands_in(fact.answer, text)


def _overlap(one: str, other: str, decimal: str) -> bool:
    """Whether two answers are equal, or one contains the other."""
    return same_answer(one, other, decimal=decimal) or stands_in(one, other) or stands_in(other, one)


def _fits(fact: Fact, chosen: Sequence[Fact]) -> bool:
    """Whether neither side of the pair equals a side of another pair, so that each item has one partner."""
    if fact.pair is None:
        return False
    if any(fact.uses & other.uses for other in chosen):
        return False
    sides = [other.pair for other in chosen if other.pair is not None]
    mine, theirs = fact.pair
    if any(_overlap(mine, left, fact.decimal) or _overlap(theirs, right, fact.decimal) for left, right in sides):
        return False
    return all_differ([side for pair in (*sides, fact.pair) for side in pair], decimal=fact.decimal)
