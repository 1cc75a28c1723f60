"""Converts formulas of Word (Office MathML) to LaTeX. Of unknown elements only the text is kept.

Imports nothing of this project, as ``docx_process`` runs in a separate process.
"""

# ruff: noqa: RUF001  # mathematical signs that look like letters

from xml.etree.ElementTree import Element

MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FENCES = {"": ".", "{": r"\{", "}": r"\}", "⟨": r"\langle", "⟩": r"\rangle", "‖": r"\|"}
_LARGE = {"∑": r"\sum", "∏": r"\prod", "∫": r"\int", "∬": r"\iint", "∮": r"\oint", "⋃": r"\bigcup", "⋂": r"\bigcap"}
_ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0305": r"\overline", "\u0307": r"\dot",
            "\u0308": r"\ddot", "\u20d7": r"\vec"}  # fmt: skip
_SPECIAL = {character: f"\\{character}" for character in "#$%&_{}"} | {"\\": r"\backslash "}


def latex(formula: Element) -> str:
    return _all(formula).strip()


def _all(element: Element | None) -> str:
    return "" if element is None else "".join(_one(child) for child in element)


def _one(element: Element) -> str:
    part = {child.tag.removeprefix(MATH): child for child in element}

    def inside(name: str) -> str:
        return _all(part.get(name))

    match element.tag.removeprefix(MATH):
        case "t":
            return "".join(_SPECIAL.get(character, character) for character in element.text or "")
        case "f":
            return rf"\frac{{{inside('num')}}}{{{inside('den')}}}"
        case "sSup":
            return f"{{{inside('e')}}}^{{{inside('sup')}}}"
        case "sSub":
            return f"{{{inside('e')}}}_{{{inside('sub')}}}"
        case "sSubSup":
            return f"{{{inside('e')}}}_{{{inside('sub')}}}^{{{inside('sup')}}}"
        case "rad":
            degree = f"[{inside('deg')}]" if inside("deg") else ""
            return rf"\sqrt{degree}{{{inside('e')}}}"
        case "nary":
            sign = _property(part.get("naryPr"), "chr", "∫")
            limits = "".join(f"{mark}{{{inside(name)}}}" for mark, name in (("_", "sub"), ("^", "sup")) if inside(name))
            return f"{_LARGE.get(sign, sign)}{limits} {inside('e')}"
        case "d":
            begin, end = (
                _property(part.get("dPr"), f"{side}Chr", usual) for side, usual in (("beg", "("), ("end", ")"))
            )
            content = ", ".join(_all(child) for child in element if child.tag == f"{MATH}e")
            return rf"\left{_FENCES.get(begin, begin)} {content} \right{_FENCES.get(end, end)}"
        case "m":
            rows = [" & ".join(_all(cell) for cell in row) for row in element if row.tag == f"{MATH}mr"]
            return _matrix(rows)
        case "eqArr":
            rows = [_all(row) for row in element if row.tag == f"{MATH}e"]
            return _matrix(rows)
        case "acc":
            mark = _ACCENTS.get(_property(part.get("accPr"), "chr", "\u0302"), r"\hat")
            return f"{mark}{{{inside('e')}}}"
        case "func":
            name = inside("fName")
            if name.isalpha():
                name = rf"\operatorname{{{name}}}"
            return f"{name} {inside('e')}"
        case "limLow":
            return f"{{{inside('e')}}}_{{{inside('lim')}}}"
        case "limUpp":
            return f"{{{inside('e')}}}^{{{inside('lim')}}}"
    return _all(element)


def _matrix(rows: list[str]) -> str:
    return r"\begin{matrix} " + r" \\ ".join(rows) + r" \end{matrix}"


def _property(properties: Element | None, name: str, usual: str) -> str:
    found = None if properties is None else properties.find(f"{MATH}{name}")
    return usual if found is None else found.get(f"{MATH}val", "")
