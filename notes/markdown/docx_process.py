"""A Word document on standard input, as JSON ``{markdown, warnings}`` on standard output.

Run by ``utils.bounded_process``: it imports nothing of the project.
"""

import io
import json
import re
import sys

import mammoth
import markdownify

_INSIDE_A_WORD = re.compile(r"(?<=\w)\\_(?=\w)")
"""Where Markdown reads no emphasis, so that the word stays one that is found."""


def main() -> None:
    pictures = 0

    def leave_out(image: object) -> list[object]:
        nonlocal pictures
        pictures += 1
        return []

    result = mammoth.convert_to_html(io.BytesIO(sys.stdin.buffer.read()), convert_image=leave_out)
    text = markdownify.markdownify(result.value, heading_style="ATX", bullets="-")
    text = _INSIDE_A_WORD.sub("_", text)
    warnings = sorted({message.message for message in result.messages})[:20]
    if pictures:
        warnings.append(f"Pictures that were left out: {pictures}.")
    json.dump({"markdown": text, "warnings": warnings}, sys.stdout)


if __name__ == "__main__":
    main()
