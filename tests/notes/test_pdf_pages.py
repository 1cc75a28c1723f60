"""What is on the pages of a PDF: letters, formulas, pictures, and texts that mean harm; and its process."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from PIL import Image, ImageChops

from notes import pdf
from notes.pdf.formulas import translate
from notes.pdf.images import Images
from notes.pdf.tree import blocks_of
from utils.bounded_process import ProcessFailed, run_bounded

PROCESS = Path(pdf.__file__).with_name("process.py")


def pages(content: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(content)
    texts = [page.get_textpage().get_text_bounded().replace("\r\n", "\n") for page in document]
    document.close()
    return texts


def topic(explanation: str, **fields: Any) -> dict[str, Any]:
    return {"title": "T", "code": "", "code_language": "", "sources": [], **fields, "explanation": explanation}


def set_page(explanation: str, pictures: dict[str, bytes], **fields: Any) -> tuple[bytes, dict[str, Any]]:
    """The PDF of a note, and what its process tells. ``pictures``: attached files by their ids."""
    note = {
        "title": "A note",
        "tags": ["one"],
        "updated_at": "2026-11-29T10:00:00.123456Z",
        "chapters": [{"title": "C", "topics": [topic(explanation, **fields)]}],
        "pictures": {name: name for name in pictures},
    }

    def prepare(folder: Path) -> None:
        for name, content in pictures.items():
            (folder / name).write_bytes(content)

    # Longer than production's limit: what is on the pages does not depend on how fast the machine is.
    made = run_bounded(PROCESS, json.dumps(note).encode(), seconds=300, prepare=prepare)
    head, _, content = made.partition(b"\n")
    return content, json.loads(head)


def typeset(explanation: str, **fields: Any) -> tuple[list[str], dict[str, Any]]:
    content, head = set_page(explanation, {}, **fields)
    return pages(content), head


def shown(content: bytes) -> list[Image.Image]:
    """The pages as they look, at one pixel for each point."""
    document = pypdfium2.PdfDocument(content)
    looks = [page.render().to_pil() for page in document]
    document.close()
    return looks


def place_of(colour: tuple[int, int, int], page: Image.Image) -> tuple[int, int, int, int] | None:
    """The box around what has about this colour on a page: left, top, right, bottom, in points."""
    away = ImageChops.difference(page.convert("RGB"), Image.new("RGB", page.size, colour))
    return away.convert("L").point(lambda value: 255 * (value < 20)).getbbox()


def test_typst_in_a_note_is_printed_as_text():
    code = '#eval("1+1") #set page(fill: red) #import "@preview/cetz:0.3.0" #read("/etc/passwd") $x$ = *b* @ref <label>'

    shown, _ = typeset(f"\\{code}", title=code, code=f"#panic({code!r})", code_language='"]) #panic(1)')

    text = " ".join(" ".join(shown).split())
    for part in ('#eval("1+1")', "#set page(fill: red)", '#import "@preview/cetz:0.3.0"', '#read("/etc/passwd")'):
        assert text.count(part) >= 2
    assert "#panic(" in text
    assert "root:" not in text


def test_scripts_of_the_world_are_printed():
    text = "Ελληνικά Русский 中文排版 日本語かな 한국어 עברית العربية हिन्दी ไทย ქართული"

    shown, head = typeset(text)

    assert head == {"missing": [], "not_shown": 0}
    for word in ("Ελληνικά", "Русский", "中文排版", "日本語かな", "한국어"):
        assert word in "".join(shown)


def test_letters_that_no_font_has_are_named():
    shown, head = typeset("runes ᚠᛇ and hieroglyphs 𓀀")

    assert head == {"missing": ["ᚠ", "ᛇ", "𓀀"], "not_shown": 0}
    assert "U+16A0, U+16C7, U+13000" in shown[-1]


@pytest.mark.parametrize(
    ("latex", "known"),
    [
        (r"\frac{a}{b} + \sqrt[3]{x^2_i}", True),
        (r"\int_0^\infty e^{-x^2}\,dx", True),
        (r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}", True),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", True),
        (r"f(x) = \begin{cases} 1 & x > 0 \\ 0 & \text{else} \end{cases}", True),
        (r"\hat{x} \vec{v} \overline{ab} \mathbb{R} \mathbf{v} \lim_{x \to 0}", True),
        (r"\unknown{x}", False),
        (r"\frac{1}", False),
        ("{", False),
        (r"\ce{H2O}", False),
        ("{" * 5000, False),
        ("x" * 5001, False),
    ],
)
def test_formulas_that_are_not_known_are_printed_as_their_source(latex, known):
    assert (translate(latex) is not None) == known

    if len(latex) < 100:
        shown, _ = typeset(f"inline ${latex}$\n\n$$\n{latex}\n$$\n")
        source = "".join(latex.split())
        assert ("".join("".join(shown).split()).count(source) == 0) == known


def test_everything_of_markdown_is_on_the_page():
    text = (
        "para *em* **strong** ~~gone~~ `code`\n\n## head\n\n> quote\n>> deeper\n\n- item\n  1. sub\n- [x] done\n\n"
        "| h1 | h2 |\n|:-:|--|\n| c1 | c2 |\n\n```rust\nfn main() {}\n```\n\n[link](https://example.com) "
        "[bad](javascript:x) ![alt](pic.png)\n\nfoot[^n]\n\n[^n]: note text\n\n---\n\n"
        "<div>html</div>\n\nhard  \nbreak\n"
    )

    shown, _ = typeset(text, sources=[{"title": "src", "url": "https://example.com/s"}])

    words = " ".join(shown).split()
    expected = "para em strong gone code head quote deeper item sub done h1 h2 c1 c2 fn main() link bad note text"
    for word in [*expected.split(), "<div>html</div>", "hard", "break", "pic.png", "src", "https://example.com/s"]:
        assert word in words, word


PICTURE = "0198c1f0-0000-7000-8000-000000000001"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def painted(kind: str, size: tuple[int, int], mode: str = "RGB", **options: Any) -> bytes:
    """A picture, red above and blue below."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, (0, 0, size[0], size[1] // 2))
    buffer = io.BytesIO()
    picture.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", "RGB"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("GIF", "P"), ("WEBP", "RGB")],
)
def test_an_attached_picture_is_on_the_page(kind, mode):
    content, head = set_page(
        f"before ![alt words](/api/attachments/{PICTURE}/)", {PICTURE: painted(kind, (200, 100), mode)}
    )

    page = shown(content)[1]
    assert head["not_shown"] == 0
    left, top, right, bottom = place_of(RED, page)
    assert (abs(right - left - 150), abs(bottom - top - 37)) <= (2, 2)  # 96 pixels are an inch
    assert abs(place_of(BLUE, page)[1] - bottom) <= 2
    assert "alt words" not in "".join(pages(content))


def test_a_picture_stands_upright_and_leaves_no_page():
    turned = Image.open(io.BytesIO(painted("PNG", (3000, 6000)))).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # which is how a camera that was turned tells it
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", exif=exif)

    content, _ = set_page(f"![x](/api/attachments/{PICTURE}/)", {PICTURE: buffer.getvalue()})

    red, blue = (
        place_of(colour, shown(content)[1] if len(shown(content)) == 2 else shown(content)[2]) for colour in (RED, BLUE)
    )
    height = blue[3] - red[1]
    assert abs(height - 20 / 2.54 * 72) <= 2
    assert abs(red[2] - red[0] - height / 2) <= 2


@pytest.mark.parametrize("content", [None, b"", b"text", painted("PNG", (300, 300))[:200]])
def test_a_picture_that_is_missing_or_broken_becomes_its_alternative_text(content):
    pictures = {} if content is None else {PICTURE: content}

    page, head = set_page(f"a ![what *it* shows](/api/attachments/{PICTURE}/) b", pictures)

    assert head["not_shown"] == 1
    assert "a [what it shows] b" in " ".join("".join(pages(page)).split())


def test_more_pixels_than_a_pdf_may_have_are_left_out():
    ids = [f"{PICTURE[:-1]}{number}" for number in range(8)]
    text = " ".join(f"![no{name[-1]}](/api/attachments/{name}/)" for name in ids)

    page, head = set_page(text, dict.fromkeys(ids, painted("PNG", (6000, 6000))))

    assert head["not_shown"] == 2
    assert re.findall(r"no\d", "".join(pages(page))) == ["no6", "no7"]


def test_links_to_notes_are_their_words_and_callouts_quotes_with_a_title():
    shown, _ = typeset(
        "See [[Sorting]], [[Graphs#Trees|those trees]] and ![[pic.png]].\n\n> [!WARNING]- Mind *this*\n> text\n\n"
        "> [!tip]\n\n`> [!note] [[code]]`"
    )

    text = "\n".join(shown)
    assert "See Sorting, those trees and pic.png." in text
    assert re.search(r"Warning: Mind this\s+text\s+Tip\s+> \[!note\] \[\[code\]\]", text)


def test_a_callout_has_its_title_in_a_paragraph_of_its_own():
    (quote,) = blocks_of("> [!note] A *b*\n> text", Images({}))

    title, text = quote["c"]
    assert title["c"] == [
        {"t": "strong", "c": [
            {"t": "text", "v": "Note: "}, {"t": "text", "v": "A "}, {"t": "em", "c": [{"t": "text", "v": "b"}]}
        ]}
    ]  # fmt: skip
    assert text == {"t": "p", "c": [{"t": "text", "v": "text"}]}


def test_a_formula_on_lines_of_its_own_may_look_like_a_list():
    given, formula, so = blocks_of("Given\n$$\na\n+ b\n$$\nso", Images({}))

    assert formula == {"t": "display", "m": translate("a + b"), "v": "\na\n+ b\n"}
    assert (given["t"], so["t"]) == ("p", "p")


@pytest.mark.parametrize(
    "text",
    [
        "> " * 500 + "deep",
        "\n".join("  " * depth + "- item" for depth in range(100)),
        "![" * 20_000,
        "$" + r"\sqrt{" * 100 + "x" + "}" * 100 + "$",
        "$" + "x^" * 200 + "x$",
        "w" * 50_000,
        "|" + "a|" * 200 + "\n|" + "-|" * 200 + "\n",
        "*a " * 5000,
        "[x](http://" + "a" * 5000 + ")",
        "[x]()",
        "\u202e\u200b\ufeff\ue000\ufffe",
        "99999999999. item",
    ],
    ids=range(12),
)
def test_hostile_texts_become_pages(text):
    shown, _ = typeset(text, code="\t\x00"[0], code_language="\u202e")

    assert len(shown) >= 2


def test_depth_of_the_tree_is_bounded():
    def depth(nodes: list[dict[str, Any]]) -> int:
        return 1 + max((depth(node.get("c", [])) for node in nodes), default=0)

    assert depth(blocks_of("> " * 3000 + "x", Images({}))) < 15
    assert depth(blocks_of("*a **b " * 3000 + "** c*" * 3000, Images({}))) < 30


def test_a_process_has_no_environment_an_empty_folder_and_limits(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "secret")
    script = tmp_path / "look.py"
    script.write_text(
        "import json, os, resource, sys\n"
        "limits = [resource.getrlimit(getattr(resource, n))[1] for n in ('RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_CORE')]\n"
        "json.dump([dict(os.environ).get('SECRET_KEY'), os.listdir('.'), limits, sys.stdin.read()], sys.stdout)\n"
    )

    seen = json.loads(run_bounded(script, b"data"))

    assert seen == [None, [], [512 * 1024 * 1024, 30, 0], "data"]


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)", "x = 'a' * 10**9", "1 / 0"])
def test_a_process_that_goes_too_far_fails(tmp_path, code):
    script = tmp_path / "far.py"
    script.write_text(code)

    with pytest.raises(ProcessFailed):
        run_bounded(script, b"", seconds=1)
