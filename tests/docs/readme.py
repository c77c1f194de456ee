"""The README, taken apart."""

import re
from pathlib import Path

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
# With the fence's indentation, which the lines of the block share.
_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_DAEMON = re.compile(r"^\[daemon\]\n((?:.+\n)*)", re.MULTILINE)


def blocks(language: str) -> list[str]:
    """The README's fenced blocks in one language, without their indentation."""
    found = [match for match in _BLOCK.finditer(README) if match["language"] == language]
    return [re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE) for match in found]


def configuration() -> str:
    """All its TOML blocks as one file; several of them show keys of the one [daemon] table."""
    text = "\n".join(blocks("toml"))
    return "[daemon]\n" + "".join(_DAEMON.findall(text)) + _DAEMON.sub("", text)
