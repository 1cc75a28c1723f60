"""Quizzes and recalls: makes questions from cards and passages, and grades answers. It reads no table."""
