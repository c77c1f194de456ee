"""Pages at the end of a login."""

from http import HTTPStatus
from typing import get_args

from tokend.cli.login.pages import PAGES, Page, page_bytes


def test_every_page_is_whole_and_fixed() -> None:
    """Its length is right, and it loads nothing."""
    assert set(PAGES) == set(get_args(Page))
    for page in PAGES:
        head, _, body = page_bytes(HTTPStatus.OK, page).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert b"<script" not in body
        assert b"http" not in body
        assert PAGES[page][1].encode() in body
