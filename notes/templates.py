"""Templates: notes with chapters and topics to fill in."""

from typing import NamedTuple

from notes.services import NoteData


class Template(NamedTuple):
    id: str
    title: str
    description: str
    chapters: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """The titles of chapters, each with the titles and explanations of its topics."""

    def note(self, title: str | None = None) -> NoteData:
        return {
            "title": title or self.title,
            "chapters": [
                {"title": chapter, "topics": [{"title": topic, "explanation": text} for topic, text in topics]}
                for chapter, topics in self.chapters
            ],
        }


TEMPLATES = {
    template.id: template
    for template in (
        Template(
            "cornell",
            "Cornell notes",
            "Notes of a lecture, questions to test yourself with, and a summary.",
            (
                ("Notes", (("What was said", "Write down the main ideas in short sentences, while you listen.\n"),)),
                ("Cues", (("Questions", "For each idea a question that it answers:\n\n- \n"),)),
                ("Summary", (("In my own words", "Two or three sentences, written on the same day.\n"),)),
            ),
        ),
        Template(
            "lab-report",
            "Lab report",
            "An experiment: question, method, results and what they mean.",
            (
                ("Introduction", (("Question", "What is to be found out, and why?\n"), ("Hypothesis", ""))),
                ("Method", (("Materials", "- \n"), ("Procedure", "1. \n"))),
                (
                    "Results",
                    (("Measurements", "| Quantity | Value | Unit |\n|---|---|---|\n| | | |\n"), ("Errors", "")),
                ),
                ("Discussion", (("What the results mean", ""), ("What could be done better", ""))),
                ("Conclusion", (("Answer to the question", ""),)),
            ),
        ),
        Template(
            "essay",
            "Essay",
            "A thesis, the arguments for and against it, and a conclusion.",
            (
                ("Introduction", (("Opening", ""), ("Thesis", "One sentence that can be argued about.\n"))),
                (
                    "Body",
                    (
                        ("First argument", "Claim, evidence, and how the one follows from the other.\n"),
                        ("Second argument", ""),
                        ("Objection and answer", ""),
                    ),
                ),
                ("Conclusion", (("What follows", ""),)),
                ("Sources", (("Literature", "- \n"),)),
            ),
        ),
    )
}
