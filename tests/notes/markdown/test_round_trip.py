"""Export, then import: the same tree, whatever it holds."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from notes.markdown import front_matter, own_files
from notes.markdown.escaping import escape_address, escape_title, unescape
from notes.markdown.writing import note_text

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
NASTY = [
    "# inject\n\n## fake",
    "]",
    "[a](b)",
    "\u200b\u200e\u2028\ufeff",
    "---\ntitle: fake\n---\n",
    "<!-- noteassist:topic 1 -->\n### fake",
    "\\<!-- noteassist:code -->",
    "```\ncode\n```",
    "````",
    "&#x41; &amp; \\",
    "no",
    "2024-01-01",
    "'\"",
    "a: b # c",
    "\r\n\r",
    "\n",
    " \n ",
    "👨‍👩‍👧 نمی‌خواهم",
    "- [x](http://y)",
]
TEXTS = st.one_of(st.text(CHARACTERS), st.sampled_from(NASTY), st.lists(st.sampled_from(NASTY)).map("\n".join))
TITLES = TEXTS.map(str.strip).filter(bool).map(lambda title: title[:300].strip())
TAGS = st.lists(TEXTS.map(str.strip).filter(bool), max_size=3)
LANGUAGES = st.from_regex(r"[\w+#./*\-]{0,30}", fullmatch=True)
SOURCES = st.fixed_dictionaries(
    {"title": TITLES, "url": TEXTS.map(lambda text: "https://example.com/" + "".join(text.split()))}
)
TOPICS = st.fixed_dictionaries(
    {
        "title": TITLES,
        "explanation": TEXTS,
        "code": TEXTS,
        "code_language": LANGUAGES,
        "sources": st.lists(SOURCES, max_size=2),
    }
)
CHAPTERS = st.fixed_dictionaries({"title": TITLES, "topics": st.lists(TOPICS, max_size=3)})
NOTES = st.fixed_dictionaries(
    {
        "title": TITLES,
        "status": st.sampled_from(["draft", "published", "archived"]),
        "tags": TAGS,
        "chapters": st.lists(CHAPTERS, max_size=3),
    }
)
MOMENT = datetime(2026, 11, 29, 10, 0, 0, 123456, UTC)


def exported(tree: dict[str, Any]) -> str:
    numbered = {
        **tree,
        "id": 12,
        "version": 3,
        "created_at": MOMENT,
        "updated_at": MOMENT,
        "chapters": [
            {**chapter, "id": i, "topics": [{**topic, "id": 10 * i + j} for j, topic in enumerate(chapter["topics"])]}
            for i, chapter in enumerate(tree["chapters"])
        ],
    }
    return note_text(numbered)


def imported(text: str):
    front, body = front_matter.split(text)
    assert own_files.is_own(front)
    return own_files.read(front, body)


@given(NOTES)
@settings(max_examples=500, deadline=None)
def test_an_export_is_read_back_as_the_same_tree(tree):
    note = imported(exported(tree))

    assert note.as_data() == tree
    assert (note.id, note.version, note.created_at) == (12, 3, "2026-11-29T10:00:00.123456Z")
    assert [chapter.id for chapter in note.chapters] == list(range(len(tree["chapters"])))


@given(NOTES)
@settings(max_examples=100, deadline=None)
def test_an_export_may_hold_an_export(tree):
    outer = {
        "title": "Outer",
        "status": "draft",
        "tags": [],
        "chapters": [
            {
                "title": "One",
                "topics": [
                    {"title": "T", "explanation": exported(tree), "code": exported(tree), "code_language": "md",
                     "sources": []}
                ],
            }
        ],
    }  # fmt: skip

    assert imported(exported(outer)).as_data() == outer


@given(st.text(CHARACTERS))
@example("&#x110000;")
@example("a  b ")
def test_a_title_stands_on_one_line_and_comes_back(text):
    escaped = escape_title(text)

    assert escaped.splitlines() == [escaped] * (escaped != "")
    assert unescape(escaped) == text


@given(st.text(CHARACTERS, min_size=1))
def test_an_address_stands_on_one_line_and_comes_back(url):
    escaped = escape_address(url)

    assert escaped.splitlines() == [escaped]
    assert unescape(escaped.removeprefix("<").removesuffix(">") if escaped[0] == "<" else escaped) == url


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,9}", fullmatch=True), TEXTS, max_size=4))
def test_front_matter_comes_back_as_texts(values):
    text = front_matter.dump(values) + "rest"

    front, rest = front_matter.split(text)

    assert front is not None
    assert front.values == values
    assert rest == "rest"
    assert text.count("\n") == 2 + max(1, len(values))


def test_an_exported_note_reads_well():
    tree = {
        "title": "C# and snake_case: 5 * 3",
        "status": "published",
        "tags": ["python", "loops & more"],
        "chapters": [
            {
                "title": "First",
                "topics": [
                    {
                        "title": "While",
                        "explanation": "Again and *again*.",
                        "code": "print('```')",
                        "code_language": "python",
                        "sources": [{"title": "Docs", "url": "https://docs.python.org/?a=1&b=2"}],
                    }
                ],
            }
        ],
    }

    assert exported(tree) == (
        "---\nnoteassist: 1\nid: 12\nversion: 3\ncreated_at: '2026-11-29T10:00:00.123456Z'\n"
        "updated_at: '2026-11-29T10:00:00.123456Z'\ntitle: 'C# and snake_case: 5 * 3'\nstatus: published\n"
        "tags: [python, loops & more]\n---\n\n"
        "# C# and snake_case: 5 \\* 3\n\n"
        "<!-- noteassist:chapter 0 -->\n## First\n\n"
        "<!-- noteassist:topic 0 -->\n### While\n\nAgain and *again*.\n\n"
        "<!-- noteassist:code -->\n````python\nprint('```')\n````\n\n"
        "<!-- noteassist:sources -->\n- [Docs](https://docs.python.org/?a=1&b=2)\n"
    )


def test_what_somebody_wrote_between_the_parts_is_kept():
    text = (
        "---\nnoteassist: 1\n---\n\n# Title\n\nbefore all\n\n<!-- noteassist:chapter -->\n## One\n\nin the chapter\n\n"
        "<!-- noteassist:topic 7 -->\n### T\n\ntext\n\n<!-- noteassist:code -->\n```c\nx\n```\nafter the fence\n\n"
        "<!-- noteassist:sources -->\n- [a](http://b)\nnot a source\n"
    )

    note = imported(text)

    assert note.title == "Title"
    assert [(chapter.title, [(t.title, t.explanation) for t in chapter.topics]) for chapter in note.chapters] == [
        ("Title", [("Title", "before all")]),
        ("One", [("One", "in the chapter"), ("T", "text\n\nafter the fence\n\nnot a source")]),
    ]
    topic = note.chapters[1].topics[1]
    assert (topic.code, topic.code_language, topic.sources) == ("x", "c", [{"title": "a", "url": "http://b"}])


def test_another_programs_ends_of_lines_change_nothing():
    tree = {
        "title": "T",
        "status": "draft",
        "tags": ["a"],
        "chapters": [
            {"title": "C", "topics": [{"title": "T", "explanation": "a\n\nb", "code": "x\ny", "code_language": "c",
                                       "sources": [{"title": "s", "url": "http://x"}]}]}
        ],
    }  # fmt: skip

    assert imported(exported(tree).replace("\n", "\r\n")).as_data() == tree


def test_front_matter_of_an_attacker_is_text():
    bombs = [
        "---\na: &a [x]\nb: *a\n---\n",
        "---\n" + "[" * 5000 + "\n---\n",
        "---\n" + "a: " * 100 + "\n---\n",
        "---\n- list\n---\n",
        "---\nnever closed\n",
    ]
    for text in bombs:
        assert front_matter.split(text) == (None, text)
