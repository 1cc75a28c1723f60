"""Work on a text without a model: nothing may be invented, and nothing but prose may be touched."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_tasks.providers.offline import edit
from ai_tasks.providers.offline.compose import code_block, same_language
from ai_tasks.providers.offline.extract import summary_of
from ai_tasks.providers.offline.markdown import blocks_of, rendered
from ai_tasks.providers.offline.prose import sentences_of
from ai_tasks.providers.offline.words import search_terms

TEXT = """\
# Photosynthesis

Photosynthesis is the process by which plants turn light into chemical energy. It happens in the chloroplasts. My aunt
has a nice garden. Chlorophyll absorbs light, mostly red and blue light, and so plants look green.

```python
light = "red"   # Light is absorbed. Light is energy.
```

## Two stages

- The light reactions store the energy of light in ATP and NADPH.
- The Calvin cycle uses this energy to build sugar from carbon dioxide.

Without light the light reactions stop, e.g. at night. The Calvin cycle needs no light itself.
"""


def edited(text: str) -> str:
    text, _ = edit.edited(text)
    return text


# --- Reading Markdown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Use e.g. Python. It is 3.5 times faster.", ["Use e.g. Python.", "It is 3.5 times faster."]),
        ("Call `a. B()` now. Then stop.", ["Call `a. B()` now.", "Then stop."]),
        ("See https://x.org/a.B for more. Done.", ["See https://x.org/a.B for more.", "Done."]),
        ("Written by J. Smith. He knew.", ["Written by J. Smith.", "He knew."]),
        ("It is **done.** Next line\ngoes on.", ["It is **done.**", "Next line goes on."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("これは文です。次の文。", ["これは文です。", "次の文。"]),
        ("", []),
    ],
)
def test_sentences_end_where_they_end(text, sentences):
    assert sentences_of(text) == sentences


def test_blocks_know_what_is_prose():
    text = "# T\n\ntext\n\n- item\n\n> quote\n\n| a | b |\n|---|---|\n\n    code\n\n```\ncode\n```\n\n$$\nx\n$$"

    assert [block.kind.name for block in blocks_of(text)] == [
        "HEADING", "PARAGRAPH", "LIST", "VERBATIM", "VERBATIM", "VERBATIM", "VERBATIM", "VERBATIM",
    ]  # fmt: skip
    assert rendered(blocks_of(text)) == text


# --- Summaries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "at_most", "count"), [(0.2, 3, 2), (0.35, 7, 3), (0.5, 20, 4), (0.01, 3, 1), (1.0, 20, 8)]
)
def test_a_summary_has_its_share_of_sentences(share, at_most, count):
    parts = summary_of(TEXT, share=share, at_most=at_most)

    assert sum(len(sentences_of(part.replace("- ", ""))) for part in parts) == count


def test_a_summary_keeps_to_what_the_text_is_about_in_its_order():
    short = "\n\n".join(summary_of(TEXT, share=0.2, at_most=3))

    assert short.startswith("Photosynthesis is the process by which plants turn light into chemical energy.")
    assert "aunt" not in short


def test_a_summary_may_keep_the_headings_that_it_draws_from():
    parts = summary_of(TEXT, share=0.5, at_most=20, with_headings=True)

    assert [part for part in parts if part.startswith("#")] == ["# Photosynthesis", "## Two stages"]


@pytest.mark.parametrize("text", ["", "```\ncode. More code.\n```", "# Only a heading", "    indented. code."])
def test_a_text_without_sentences_has_no_summary(text):
    assert summary_of(text, share=0.5, at_most=5) == []


def test_a_sentence_said_twice_is_picked_once():
    assert summary_of("Loops repeat statements often. " * 6, share=1.0, at_most=5) == ["Loops repeat statements often."]


PROSE = st.text(alphabet=st.sampled_from("aB .!?`*#-\n1\t>|é。"), max_size=200)


@given(PROSE)
def test_every_word_of_a_summary_is_the_texts_own(text):
    for part in summary_of(text, share=0.5, at_most=10):
        for word in part.split():
            assert word == "-" or word in text


# --- Edits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Too  many   spaces.  \n\n\n\nNext.\n", "Too many spaces.\n\nNext."),
        ("##Heading\ntext", "## Heading\n\ntext"),
        ("#   Wide   \n", "# Wide"),
        ("## Closed ##", "## Closed"),
        ("## Learning C#", "## Learning C#"),
        ("List:\n* one\n+ two\n• three", "List:\n\n- one\n- two\n- three"),
        ("1) one\n2) two", "1. one\n2. two"),
        ("It is the the end of of it.", "It is the end of it."),
        ("The word that that follows had had its reason.", "The word that that follows had had its reason."),
        ("Words , and more words .", "Words, and more words."),
        ("first,second", "first, second"),
        ("Really!!!! Yes?", "Really! Yes?"),
        ("the end. it is.", "The end. it is."),
        ("One sentence. the other. Third", "One sentence. the other. Third"),
        ("print is a function. iPhone is a phone.", "print is a function. iPhone is a phone."),
        ("It is done.The next one.", "It is done. The next one."),
        ("Line with a break  \nnext line   \n\nEnd", "Line with a break  \nnext line\n\nEnd"),
        ("```py\nx  =  1\n", "```py\nx  =  1\n```"),
        ("```py title=`a`\n---", "```py title=`a`\n---"),
        ("windows\r\nlines\r\n", "windows\nlines"),
    ],
)
def test_form_and_slips_are_edited(before, after):
    assert edited(before).removesuffix("\n") == after


def test_a_long_sentence_is_split_where_it_says_however():
    long = "word " * 25 + "ends here; however, it goes on for a while."

    assert edited(long).endswith("ends here. However, it goes on for a while.")
    assert edited("Short; however, it goes on.") == "Short; however, it goes on."


def test_a_long_paragraph_is_split_between_sentences():
    text = " ".join(f"Sentence number {number} stands here." for number in range(7))

    paragraphs = edited(text).split("\n\n")

    assert [len(sentences_of(paragraph)) for paragraph in paragraphs] == [3, 4]
    assert " ".join(paragraphs) == text


def test_terms_that_the_text_defines_are_listed_in_its_own_words():
    filler = "Some more words stand here to make the text long enough for a list of terms. " * 6
    text = f"A stack is a list with one open end. {filler}\n\nA **queue** has two open ends. This is a remark."

    assert edited(text).endswith(
        "\n\n## Key terms\n\n"
        "- **stack**: A stack is a list with one open end.\n"
        "- **queue**: A **queue** has two open ends."
    )
    assert "Key terms" not in edited("A stack is a list. A queue is a list.")


def test_changes_are_counted_by_kind():
    _, changes = edit.edited("##One\n\nthe the  end")

    assert changes == {"headings": 1, "repeated words": 1, "spacing": 1, "capitals": 1}


VERBATIM = [
    "```python\nx  =  1 \nthe the\n\n\n\n* y\n```",
    "~~~\n```\nx  ,y\n~~~",
    "    code  with   spaces \n\n\n    more , code",
    "| a  |  b |\n|----|----|\n| the the | x |",
    "> quoted  , text",
    "$$\nx  ,  y\n$$",
    "<div>  the the </div>",
    "[ref]:  https://example.org/a,b",
    "Call `f( x  , y )` and `the the`.",
    "See [docs](https://example.org/a,bcd,efg).",
    "Title\n=====",
    "# Title\n\n    code  after  a  heading",
]


@pytest.mark.parametrize("text", VERBATIM)
def test_what_is_no_prose_comes_out_as_it_went_in(text):
    assert edited(text) == text
    assert text in edited(f"Some  text\n\n{text}\n\nmore  text")


LINES = st.sampled_from(
    ["text  text", "the the end. it is", "* item", "  * nested", "1) one", "##H", "# H #", "---", "===", "", "", "> q",
     "    code  ", "\tcode", "| a | b |", "a,b aaa,bbb", "`x  y` . z", "word , word!!!!", "$$", "A stack is a list.",
     "One. Two. Three. Four. Five. Six. Seven. Eight.", "line  ", "x\r", "```py title=`a`", "• dot", "[a](b,c)"]
)  # fmt: skip
CODE = st.lists(st.sampled_from(["x  = 1 ", "", "* y", "the the", "# c", "\tz", "~~", "``"]), max_size=6)


@st.composite
def documents(draw) -> tuple[str, list[str]]:
    """A text and the code blocks in it."""
    parts, fenced = [], []
    for _ in range(draw(st.integers(0, 4))):
        parts += draw(st.lists(LINES, max_size=6))
        block = "\n".join(["```python", *draw(CODE), "```"])
        fenced.append(block)
        parts += ["", block, ""]
    parts += draw(st.lists(LINES, max_size=6))
    return "\n".join(parts).replace("$$", "$" if fenced else "$$"), fenced


@settings(max_examples=200)
@given(documents())
def test_code_blocks_survive_any_text_around_them(document):
    text, fenced = document
    result = edited(text)

    for block in fenced:
        assert block in result


@settings(max_examples=200)
@given(documents())
def test_editing_an_edited_text_changes_nothing_more(document):
    once = edited(document[0])

    assert edited(once) == once


# --- Putting together -------------------------------------------------------------------------------------------------


def test_code_gets_a_fence_that_it_cannot_close():
    assert code_block("x\n", "py") == "```py\nx\n```"
    assert code_block("```\nx\n````", "md") == "`````md\n```\nx\n````\n`````"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("Python", "py", True), ("c++", "CPP", True), ("C", "c++", False), ("java", "javascript", False)],
)
def test_a_language_has_several_names(one, other, same):
    assert same_language(one, other) is same


@pytest.mark.parametrize(
    ("subject", "terms"),
    [
        ("Explain the Python loops, please", ["python", "loops"]),
        ("C", ["c"]),
        ("What is it?", ["what", "is", "it"]),
        ("x'); DROP TABLE notes; -- | & ! <->", ["drop", "table", "notes"]),
        ("!!!", []),
    ],
)
def test_a_subject_is_searched_by_its_telling_words(subject, terms):
    assert search_terms(subject, limit=8) == terms
