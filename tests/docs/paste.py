"""``python -m tests.docs.paste PAGE…``: run the console blocks of pages and paste what the commands print.

Output stays as it is where only numbers, ids and times differ. Tokens are shortened to ``eyJ…`` or ``…``. A block that
is marked ``not run``, and one with a command of root, stays as it is.
"""

import re
import sys
from pathlib import Path
from textwrap import indent

from tests.docs.pages import Block, agree, blocks, commands
from tests.docs.stage import Stage, staged

TOKEN = re.compile(r"(eyJ)[\w-]+\.[\w-]+\.[\w-]+|()\b\w{64}\b")


def pasted(stage: Stage, block: Block) -> str:
    """Return the text of a console block with the real output of its commands."""
    lines = []
    for command, output in zip(commands(block), stage.console(block), strict=True):
        lines.append(f"$ {command.text}")
        printed = TOKEN.sub(r"\1\2…", output).rstrip("\n").splitlines()
        lines += command.output if agree(command.output, printed) else printed
    return "".join(f"{line}\n" for line in lines)


def main(pages: list[str]) -> None:
    """Rewrite the pages."""
    for page in map(Path, pages):
        text = page.read_text(encoding="utf-8")
        with staged(page.resolve()) as stage:
            for block in blocks(page.resolve()):
                if block.file:
                    stage.write(block)
                if block.language == "console" and not block.not_run and not any(c.root for c in commands(block)):
                    new = pasted(stage, block)
                    for indentation in ("", "   "):
                        text = text.replace(indent(block.text, indentation), indent(new, indentation), 1)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
