"""All writes of study."""

from study.services.budgets import CardsFull, TooManyCards
from study.services.cards import (
    CardChanged,
    CardDecided,
    confirm_card,
    create_card,
    delete_card,
    propose_cards,
    reset_card,
    suspend_card,
    update_card,
)
from study.services.deciding import decide_cards
from study.services.exams import (
    ExamChanged,
    InvalidExamTime,
    TooManyExams,
    create_exam,
    delete_exam,
    import_exams,
    link_calendar,
    unlink_calendar,
    update_exam,
)
from study.services.imports import import_cards, import_events
from study.services.quizzes import QuizAnswered, answer_quiz, create_quiz
from study.services.recalls import create_recall
from study.services.reviews import AlreadyUndone, NotTheLastReview, Review, record_reviews, undo_review
from study.services.settings import get_settings, update_settings

__all__ = [
    "AlreadyUndone",
    "CardChanged",
    "CardDecided",
    "CardsFull",
    "ExamChanged",
    "InvalidExamTime",
    "NotTheLastReview",
    "QuizAnswered",
    "Review",
    "TooManyCards",
    "TooManyExams",
    "answer_quiz",
    "confirm_card",
    "create_card",
    "create_exam",
    "create_quiz",
    "create_recall",
    "decide_cards",
    "delete_card",
    "delete_exam",
    "get_settings",
    "import_cards",
    "import_events",
    "import_exams",
    "link_calendar",
    "propose_cards",
    "record_reviews",
    "reset_card",
    "suspend_card",
    "undo_review",
    "unlink_calendar",
    "update_card",
    "update_exam",
    "update_settings",
]
