"""Values to set, and their forms in the formats that have strings in double quotes."""

import json
import re
from dataclasses import dataclass, field

from tokend.sinks.files.patching.problems import UnencodableError

# A number that JSON, TOML and both versions of YAML read alike.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)

# YAML ends a line or refuses the character; TOML refuses DEL and C1.
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Value:
    """The text to set, as a string or as a number. Its repr shows no secret."""

    text: str = field(repr=False)
    is_number: bool = False

    def quoted(self) -> str:
        """Return the number, or the string in double quotes as JSON, YAML and TOML read it."""
        if self.is_number:
            if not NUMBER.fullmatch(self.text):
                raise UnencodableError("it is no number: digits, with a minus before and a fraction behind them")
            return self.text
        return quoted(self.text)

    def line(self) -> str:
        """Return the text for a format of lines. Raises `UnencodableError` for a control character."""
        if not self.text.isprintable():
            raise UnencodableError("it holds a control character, which this format cannot carry")
        return self.text


def quoted(text: str) -> str:
    """Return a string in double quotes as JSON, YAML and TOML read it."""
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
