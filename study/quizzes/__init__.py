"""Quizzes and recall: making questions from cards and passages, and grading answers. Nothing here reads a table."""
