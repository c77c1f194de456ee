"""Files that people keep by hand, edited in place, as a shell reads them before and after (docs/promises.md 115)."""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.test_corpus import EXAMPLES
from tests.sinks.files.dotenv_values import values
from tokend.sinks.files.dotenv_format import Style, UnencodableError, edit, encode

# What stands in such files besides plain lines; a shell takes each of them without complaint.
OTHERS = st.sampled_from(
    [
        "", "# KEY=old", "A=1", "export B='two words'", 'C="a # b"  # c', "D='multi\nKEY=inside\nline'", "E=it\\'s",
        'F="x\nexport KEY=\\"inside\\"\n"', "G=a#b", "H= # empty", "I=$A", 'J="${A:-x}"', "K='a'\"b\"c", "  L=1",
        "KEYS=1", "MY_KEY=2", "key=5",
        "N=\"it's\"", "# it's \"open", "O=$'a\\'b'",
        "P=`echo x`", 'Q="`echo y`"',
    ]
)  # fmt: skip
KEYS = st.sampled_from(
    [
        "KEY=", "KEY=old", "export KEY=old", "  KEY='old'", 'KEY="o\\"ld"', "KEY='multi\nKEY=inside'", "KEY=old # it's",
        'KEY="a"', "KEY=a\\ b", "KEY='a'\"b\"", "KEY= # nothing", "export  KEY=''", "KEY='it'\\''s'",
        'KEY="a\nB=b" # c',
    ]
)  # fmt: skip
FILES = st.lists(OTHERS | KEYS, max_size=6).map(lambda lines: "".join(f"{line}\n" for line in lines))
SHELL = shutil.which("bash")


def sourced(directory: Path, count: int) -> list[dict[str, str]]:
    """What ``set -a; . FILE`` sets, of all files at once."""
    script = 'for i in $(seq "$1"); do (set -a; . "./$i"; env -0); printf "\\1"; done'
    done = subprocess.run(
        [str(SHELL), "-c", script, "sh", str(count)], capture_output=True, check=True, cwd=directory,
        env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    read = [part.split(b"\0") for part in done.stdout.split(b"\1")[:-1]]
    return [dict(pair.decode().split("=", 1) for pair in pairs if pair) for pairs in read]


# A shell is slow to shrink by, and what fails is one small file of eight, which the assertion shows.
@pytest.mark.skipif(SHELL is None, reason="bash is not installed")
@settings(
    max_examples=max(5, EXAMPLES // 8), deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(files=st.lists(st.tuples(FILES, values), min_size=8, max_size=8), style=st.sampled_from(["portable", "posix"]))
def test_a_shell_reads_the_new_value_and_everything_else_as_before(files: list[tuple[str, str]], style: Style) -> None:
    """Whatever stands around it, in whatever quotes: KEY is new, and the rest is what it was. None is refused."""
    with tempfile.TemporaryDirectory(prefix="tk-") as directory:
        place, edits = Path(directory), []
        for text, value in files:
            with suppress(UnencodableError):
                edits.append((text, edit(text.encode(), {"KEY": encode(value, style)}), value))
        for number, (text, edited, _) in enumerate(edits):
            (place / str(2 * number + 1)).write_text(text)
            (place / str(2 * number + 2)).write_bytes(edited)
        read = sourced(place, 2 * len(edits))
        for (text, edited, value), before, after in zip(edits, read[::2], read[1::2], strict=True):
            assert after.pop("KEY") == value, (text, edited)
            before.pop("KEY", None)
            assert after == before, (text, edited)
