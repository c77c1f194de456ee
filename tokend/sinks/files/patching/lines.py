"""Lines of a text whose ends stay as they are."""


def newline_of(text: str) -> str:
    """Return the end of the first line, for lines that are added."""
    return "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"


def line_start(text: str, offset: int) -> int:
    """Return where the line of an offset begins."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Return where the line of an offset ends, before its line end."""
    end = text.find("\n", offset)
    if end < 0:
        return len(text)
    return end - 1 if end > offset and text[end - 1] == "\r" else end


def next_line(text: str, offset: int) -> int:
    """Return where the next line begins; the end of the text for the last line."""
    end = text.find("\n", offset)
    return len(text) if end < 0 else end + 1


def indentation(text: str, offset: int) -> str | None:
    """Return the blanks before an offset if there is nothing else before it in its line, else None."""
    blanks = text[line_start(text, offset) : offset]
    return None if blanks.strip(" \t") else blanks


def with_lines_after(text: str, offset: int, *lines: str) -> str:
    """Add lines after the line of an offset. A file without a final line end stays without."""
    newline, end = newline_of(text), line_end(text, offset)
    return text[:end] + "".join(newline + line for line in lines) + text[end:]


def with_lines_before(text: str, offset: int, *lines: str) -> str:
    """Add lines before the line that begins at an offset."""
    newline = newline_of(text)
    return text[:offset] + "".join(line + newline for line in lines) + text[offset:]


def with_lines_at_end(text: str, *lines: str) -> str:
    """Add lines at the end. A file without a final line end stays without; an empty one gets one."""
    if not text:
        return with_lines_before(text, 0, *lines)
    body = text[:-1].removesuffix("\r") if text.endswith("\n") else text
    return body + "".join(newline_of(text) + line for line in lines) + text[len(body) :]


def without_lines(text: str, start: int, end: int) -> str:
    """Take the lines from an offset to before another one away. A file without a final line end stays without."""
    if end == len(text) and not text.endswith("\n"):
        return text[:start].removesuffix("\n").removesuffix("\r")
    return text[:start] + text[end:]
