"""Word documents as Markdown: what mammoth leaves out or Markdown would read in another way."""

import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from notes.markdown import front_matter
from notes.markdown.office_math import latex
from utils.bounded_process import run_bounded

PROCESS = Path(front_matter.__file__).with_name("docx_process.py")
NAMES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
)
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def paragraph(content: str) -> str:
    return f"<w:p>{content}</w:p>"


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def letters(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def read(body: str) -> tuple[str, list[str]]:
    """The Markdown of a document with this body, and the warnings."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _RELATIONS)
        archive.writestr("word/document.xml", f"<w:document {NAMES}><w:body>{body}</w:body></w:document>")
    answer = json.loads(run_bounded(PROCESS, buffer.getvalue()))
    return answer["markdown"], answer["warnings"]


def test_formulas_are_kept_as_latex():
    power = f"<m:sSup><m:e>{letters('c')}</m:e><m:sup>{letters('2')}</m:sup></m:sSup>"
    half = f"<m:f><m:num>{letters('1')}</m:num><m:den>{letters('2')}</m:den></m:f>"
    body = (
        paragraph(f"{run('energy ')}<m:oMath>{letters('E=m')}{power}</m:oMath>{run(', that is')}")
        + paragraph(f"<m:oMathPara><m:oMath>{half}</m:oMath></m:oMathPara>")
        + paragraph(run("after"))
    )

    text, warnings = read(body)

    assert [line for line in text.split("\n") if line] == [
        "energy $E=m{c}^{2}$, that is", "$$", r"\frac{1}{2}", "$$", "after"
    ]  # fmt: skip
    assert warnings == []


@pytest.mark.parametrize(
    ("office", "expected"),
    [
        (letters("a_1 &amp; {b}"), r"a\_1 \& \{b\}"),
        (f"<m:rad><m:deg/><m:e>{letters('x')}</m:e></m:rad>", r"\sqrt{x}"),
        (f"<m:rad><m:deg>{letters('3')}</m:deg><m:e>{letters('x')}</m:e></m:rad>", r"\sqrt[3]{x}"),
        (f"<m:sSub><m:e>{letters('x')}</m:e><m:sub>{letters('i')}</m:sub></m:sSub>", "{x}_{i}"),
        (f"<m:nary><m:sub>{letters('0')}</m:sub><m:sup>{letters('1')}</m:sup><m:e>{letters('x')}</m:e></m:nary>",
         r"\int_{0}^{1} x"),
        (f'<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{letters("i")}</m:sub>'
         f"<m:e>{letters('x')}</m:e></m:nary>",
         r"\sum_{i} x"),
        (f"<m:d><m:e>{letters('a')}</m:e><m:e>{letters('b')}</m:e></m:d>", r"\left( a, b \right)"),
        (f'<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val=""/></m:dPr><m:e>{letters("a")}</m:e></m:d>',
         r"\left[ a \right."),
        (f"<m:m><m:mr><m:e>{letters('a')}</m:e><m:e>{letters('b')}</m:e></m:mr><m:mr><m:e>{letters('c')}</m:e>"
         f"<m:e>{letters('d')}</m:e></m:mr></m:m>", r"\begin{matrix} a & b \\ c & d \end{matrix}"),
        (f"<m:func><m:fName>{letters('sin')}</m:fName><m:e>{letters('x')}</m:e></m:func>", r"\operatorname{sin} x"),
        (f'<m:acc><m:accPr><m:chr m:val="\u20d7"/></m:accPr><m:e>{letters("v")}</m:e></m:acc>', r"\vec{v}"),
        (f"<m:unknown><m:e>{letters('kept')}</m:e></m:unknown>", "kept"),
    ],
)  # fmt: skip
def test_parts_of_formulas_are_those_of_latex(office, expected):
    assert latex(ElementTree.fromstring(f"<m:oMath {NAMES}>{office}</m:oMath>")) == expected


def test_text_that_markdown_would_read_in_another_way_is_text():
    cells = "".join(f"<w:tc>{paragraph(run(text))}</w:tc>" for text in ("a | b", "c"))

    text, _ = read(paragraph(run("vector&lt;int&gt; *x*")) + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>")

    assert r"vector\<int> \*x\*" in text
    assert r"| a \| b | c |" in text


def test_a_place_that_somebody_wrote_is_no_formula():
    assert read(paragraph(run("x \ue0007\ue001 y")))[0].split() == ["x", "y"]
