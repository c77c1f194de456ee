"""A QR code of an address for a terminal, by the extra ``qr`` (segno)."""

QUIET = 2  # modules around the code; scanners need some


def qr_lines(address: str, *, columns: int) -> list[str] | None:
    """Return the lines of a QR code, dark on light; None without segno, or if the terminal is too narrow.

    A character shows two modules, one above the other.
    """
    try:
        import segno
    except ImportError:
        return None
    matrix = [[bool(module) for module in row] for row in segno.make_qr(address, error="l", boost_error=False).matrix]
    width = len(matrix[0]) + 2 * QUIET
    if width > columns:
        return None
    light = [[False] * width for _ in range(QUIET)]
    rows = [*light, *([False] * QUIET + row + [False] * QUIET for row in matrix), *light]
    if len(rows) % 2:
        rows.append([False] * width)
    # Light modules are drawn, dark ones are left black: colours of the terminal decide nothing.
    return [
        "\x1b[97;40m" + "".join(_BLOCKS[upper, lower] for upper, lower in zip(*pair, strict=True)) + "\x1b[0m"
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]


_BLOCKS = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
