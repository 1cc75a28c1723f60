"""What is written is found: by its parts, in any spelling, in any script."""

# ruff: noqa: RUF001  # letters that look like others are what is tested

import unicodedata

import pytest

from notes import services
from notes.models import Chapter, Note, Topic
from notes.search.query import parse
from notes.search.snippets import snippet
from notes.search.vectors import Part, vector_of
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

NFD = unicodedata.normalize


def finds(client, text):
    """Whether the list and the search find something."""
    listed = client.get("/api/notes/", {"search": text})
    ranked = client.get("/api/search/", {"q": text})
    assert (listed.status_code, ranked.status_code) == (200, 200), (listed.content, ranked.content)
    found = bool(listed.json()["results"])
    assert found == bool(ranked.json()["results"])
    return found


@pytest.fixture
def write(alice):
    def write(explanation="", **fields):
        note = NoteFactory(user=alice, **fields)
        return TopicFactory(chapter=ChapterFactory(note=note, title="c"), title="t", explanation=explanation)

    return write


WRITTEN_AND_SOUGHT = [
    ("A client/server model", ["client", "server", "client/server", "CLIENT/SERVER", "serv"]),
    ("TCP/IP", ["tcp", "ip", "TCP/IP", "tcp ip"]),
    ("Node.js runs", ["node", "js", "Node.js", "node.j"]),
    ("use numpy.array here", ["numpy", "array", "numpy.array"]),
    ("AT&T", ["AT&T", "at&t"]),
    ("see https://docs.example.com/en/latest/a_page.html?q=term#anchor", ["example", "docs.example.com", "latest",
        "page", "a_page.html", "anchor", "https://docs.example.com/en/latest/"]),
    ("/usr/local/bin/python3", ["local", "python", "/usr/local/bin/python3", "usr/local"]),
    ("mail anna.schmidt@example.org", ["anna", "schmidt", "example", "anna.schmidt@example.org"]),
    ("the snake_case_name", ["snake", "case", "name", "snake_case_name", "snake_ca"]),
    ("a camelCase word", ["camel", "case", "camelCase", "camelcase"]),
    ("HTTPServer", ["http", "server", "httpserver"]),
    ("x86-64", ["x86", "64", "x86-64"]),
    ("C++ and F*, C# and .NET", ["C++", "c++", "F*", "C#", ".NET", ".net", "net"]),
    ("Ｃ＋＋ and ．ＮＥＴ", ["C++", "c++", "Ｃ＋＋", ".net", "net"]),
    ("run it with --verbose", ["--verbose", "verbose", "--verb"]),
    ("Résumé", ["resume", "résumé", "RÉSUMÉ", NFD("NFD", "Résumé")]),
    (NFD("NFD", "Résumé"), ["resume", "résumé", NFD("NFD", "résumé")]),
    ("Straße", ["strasse", "straße", "STRASSE", "STRAẞE"]),
    ("ﬁnal ﬂow", ["final", "flow"]),
    ("ＡＢＣ１２３", ["abc123", "ＡＢＣ１２３"]),
    ("Tiếng Việt", ["tieng viet", "Tiếng Việt", NFD("NFD", "Tiếng Việt"), "việt"]),
    (NFD("NFD", "Tiếng Việt"), ["tieng viet", "Tiếng Việt", NFD("NFD", "Tiếng Việt")]),
    ("đường", ["duong", "đường"]),
    ("ΑΘΉΝΑ", ["αθηνα", "αθήνα"]),
    ("ёлка", ["елка", "ЁЛКА"]),
    ("学分认定办法", ["学分", "分认", "认定办法", "学分认定办法", "定"]),
    ("データベース設計", ["データ", "ベース", "設計", "データベース設計", "ﾃﾞｰﾀ"]),
    ("ภาษาไทยง่าย", ["ภาษา", "ไทย", "ง่าย"]),
    ("학점인정", ["학점", "인정", "학점인정", NFD("NFD", "학점인정"), "점"]),
    (NFD("NFD", "학점인정"), ["학점", "인정", "학점인정", NFD("NFD", "학점인정")]),
    ("Python入門", ["python", "入門", "Python入門"]),
    ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
    ("می‌خواهم", ["می‌خواهم", "میخواهم"]),
    ("running closures", ["runs", "closure", "run clos"]),
    ("a rocket 🚀 flies", ["🚀"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "sought"), [(written, text) for written, texts in WRITTEN_AND_SOUGHT for text in texts]
)
def test_what_is_written_is_found(alice_client, write, written, sought):
    write(written)

    assert finds(alice_client, sought)


@pytest.mark.parametrize(
    ("written", "sought"),
    [
        ("C and Java", "C++"),
        ("the net", ".NET"),
        ("client and server", "client/server"),
        ("认学 定分", "学分认定"),
        ("分学", "学分"),
        ("concatenate", "cat"),
        ("resumes", '"resume"'),
        ("for the each", '"for each"'),
    ],
)
def test_what_is_not_written_is_not_found(alice_client, write, written, sought):
    write(written)

    assert not finds(alice_client, sought)


@pytest.mark.parametrize("sought", ["To be or not to be", "to be", "not", "or not", '"to be or not to be"'])
def test_a_title_of_the_commonest_words_is_found(alice, alice_client, sought):
    NoteFactory(user=alice, title="To be or not to be")

    assert finds(alice_client, sought)


@pytest.mark.parametrize(
    ("sought", "titles"),
    [
        ("loops", ["Java loops", "Python loops"]),
        ("loops -java", ["Python loops"]),
        ("-java", ["Python loops"]),
        ('-"python loops"', ["Java loops"]),
        ("tag:web", ["Java loops"]),
        ('tag:"machine learning" loops', ["Python loops"]),
        ("-tag:web loops", ["Python loops"]),
        ("status:draft", ["Python loops"]),
        ("-status:draft loops", ["Java loops"]),
        ("STATUS:Published TAG:Web loo", ["Java loops"]),
        ("status:unknown", []),
        ("loops tag:absent", []),
        ('"python loops', ["Python loops"]),
        ('tag:"', []),
    ],
)
def test_words_tags_and_status_are_asked_for_or_excluded(alice, alice_client, sought, titles):
    NoteFactory(user=alice, title="Python loops", tags=["machine learning"], status="draft")
    NoteFactory(user=alice, title="Java loops", tags=["web"], status="published")

    listed = alice_client.get("/api/notes/", {"search": sought, "ordering": "title"}).json()["results"]
    ranked = alice_client.get("/api/search/", {"q": sought}).json()["results"]

    assert [row["title"] for row in listed] == titles
    assert sorted(result["title"] for result in ranked) == titles


@pytest.mark.parametrize(
    ("text", "sought", "html"),
    [
        ("A client/server model", "client/server", "A <mark>client/server</mark> model"),
        ("A client/server model", "serv", "A client/<mark>server</mark> model"),
        ("Mon Résumé <b>", "resume", "Mon <mark>Résumé</mark> &lt;b&gt;"),
        (NFD("NFD", "Mon Résumé"), "resume", "Mon <mark>Résumé</mark>"),
        ("学分认定办法", "认定", "学分<mark>认定</mark>办法"),
        ("학점인정 제도", NFD("NFD", "인정"), "학점<mark>인정</mark> 제도"),
        ("a camelCase word", "camelcase", "a <mark>camelCase</mark> word"),
        ("C and C++ & D", "c++", "C and <mark>C++</mark> &amp; D"),
        ("for each, each for", '"for each"', "<mark>for each</mark>, each for"),
        ("Running is to run", "runs", "<mark>Running</mark> is to <mark>run</mark>"),
        ("ﬁnal", "final", "<mark>ﬁnal</mark>"),
        ("<script>alert('x')</script>", "alert", "&lt;script&gt;<mark>alert</mark>(&#x27;x&#x27;)&lt;/script&gt;"),
        ("nothing", "else", "nothing"),
    ],
)
def test_snippets_are_escaped_and_mark_what_was_found(text, sought, html):
    assert snippet(text, parse(sought).wanted) == html


@pytest.mark.parametrize("before", [0, 990, 3_000, 9_000])
@pytest.mark.parametrize("separator", [" ", "\n", "x"])
def test_a_match_is_marked_wherever_it_stands(before, separator):
    text = ("word" + separator) * (before // 5) + " for each needle, and each needle " + "more " * 2_000

    shown = snippet(text, parse('"each needle" mor').wanted)

    assert "for <mark>each needle</mark>, and <mark>each needle</mark> <mark>more</mark> <mark>more</mark>" in shown


def test_a_snippet_is_the_part_around_the_first_match():
    text = "word " * 1000 + "needle " + "word " * 1000

    shown = snippet(text, parse("needle").wanted)

    assert shown.count("<mark>needle</mark>") == 1
    assert len(shown) < 300


HOSTILE = {
    "unique words": " ".join(f"w{number:x}" for number in range(17_000)),
    "unique pairs": "".join(chr(0x4E00 + number % 20_000) for number in range(0, 33_000 * 7, 7)),
    "one word": "a" * 100_000,
    "one letter": "a " * 50_000,
    "humps": "aB" * 50_000,
    "signs": "![" * 50_000,
    "quotes": "'\\" * 50_000,
    "marks": "\u0301" * 50_000,
    "pictures": "🚀" * 25_000,
    "plus": "a+" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_any_text_saves_and_is_found_by_its_last_word(alice, alice_client, send, text):
    text = text[: 100_000 // len(text[0].encode())]
    chapters = [{"title": "c", "topics": [{"title": "needle", "explanation": text, "code": text}]}]

    made = send(alice_client, "post", "/api/notes/", {"title": "n", "chapters": chapters})

    assert made.status_code == 201, made.content
    assert finds(alice_client, "needle")


def test_the_last_of_100_kb_of_unique_words_is_found(alice_client, write):
    write(HOSTILE["unique words"][:99_990] + " needle")

    assert finds(alice_client, "needle")
    assert finds(alice_client, '"w20 w21"')
    assert finds(alice_client, '"w3e80 w3e81"')  # beyond the positions that a vector has


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "'",
        "\\",
        "a 'b' \\c",
        "C++ .NET F*",
        "学点认定",
        "camelCase",
        "🚀",
        "e\u0301",
        "\u00bd \ufdfa \u3231 \uff8a\uff9f",
    ],
)
def test_postgresql_reads_every_vector(db, text):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT length(%s::tsvector)", [vector_of(1, [Part(text, "A"), Part(text, "D")])])
        assert cursor.fetchone()[0] == len({entry for entry in vector_of(1, [Part(text, "A")]).split(" ") if entry})


def test_a_word_of_another_user_is_no_word_of_mine(alice, charlie_client):
    NoteFactory(user=alice, title="needle")

    assert not finds(charlie_client, "needle")


@pytest.mark.parametrize("change", ["note", "tags", "chapter", "topic", "code", "ai", "restore", "move"])
def test_every_write_is_found_by_what_it_wrote_and_no_longer_by_what_it_replaced(alice, alice_client, send, change):
    made = services.create_note(
        user_id=alice.pk,
        data={
            "title": "oldnote",
            "tags": ["oldtag"],
            "chapters": [{"title": "oldchapter", "topics": [{"title": "oldtopic", "explanation": "oldtext"}]}],
        },
    )
    note, chapter = made["id"], made["chapters"][0]["id"]
    topic = made["chapters"][0]["topics"][0]["id"]
    old = {"note": "oldnote", "tags": "oldtag", "chapter": "oldchapter", "topic": "oldtopic", "ai": "oldtext"}.get(
        change
    )
    match change:
        case "note":
            send(alice_client, "patch", f"/api/notes/{note}/", {"title": "newword"})
        case "tags":
            send(alice_client, "patch", f"/api/notes/{note}/", {"tags": ["newword"]})
        case "chapter":
            send(alice_client, "patch", f"/api/chapters/{chapter}/", {"title": "newword"})
        case "topic":
            send(alice_client, "patch", f"/api/topics/{topic}/", {"title": "newword"})
        case "code":
            send(alice_client, "patch", f"/api/topics/{topic}/", {"code": "newword()"})
        case "ai":
            from utils.page_cache.invalidation import changing_pages_of

            with changing_pages_of(alice.pk):
                assert services.apply_ai_answer(
                    user_id=alice.pk,
                    topic_id=topic,
                    expected_hash=services.text_hash("oldtext"),
                    explanation="newword",
                )
        case "restore":
            send(alice_client, "patch", f"/api/topics/{topic}/", {"explanation": "newword"})
            send(alice_client, "patch", f"/api/notes/{note}/", {"title": "later"})
            send(alice_client, "post", f"/api/notes/{note}/versions/1/restore/")
            assert finds(alice_client, "oldnote oldtext oldtopic oldchapter oldtag")
            assert not finds(alice_client, "newword")
            assert not finds(alice_client, "later")
            return
        case "move":
            send(alice_client, "post", "/api/chapters/", {"note": note, "title": "newword"})
            other = Chapter.objects.get(title="newword")
            send(alice_client, "post", f"/api/topics/{topic}/move/", {"order": 0, "chapter": other.pk})

    assert finds(alice_client, "newword")
    others = {"oldnote", "oldtag", "oldchapter", "oldtopic", "oldtext"} - {old}
    assert all(finds(alice_client, word) for word in others)
    assert old is None or not finds(alice_client, old)


@pytest.fixture
def before_the_upgrade(write):
    """A note as the release before left it."""
    topic = write("The librarian's running shelf", title="Recursion", tags=["loops"])
    for model in (Note, Chapter, Topic):
        model.objects.update(words=None)
    return topic


@pytest.mark.parametrize("sought", ["librarian", "run", "recursion", "loops", "recursion librarian", "shelf -absent"])
def test_a_note_without_words_is_found_as_before(alice_client, before_the_upgrade, sought):
    assert finds(alice_client, sought)


def test_a_change_of_a_note_without_words_is_found(alice_client, before_the_upgrade, send):
    send(alice_client, "patch", f"/api/topics/{before_the_upgrade.pk}/", {"explanation": "numpy.array"})

    assert finds(alice_client, "array")
    assert finds(alice_client, "recursion array")
