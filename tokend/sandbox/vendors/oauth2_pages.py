"""Pages of the OAuth 2 server for a person's browser: consent, device, and what is wrong."""

from collections.abc import Iterable
from html import escape

from tokend.sandbox.messages import Reply

# form-action is left out: Chromium would apply it to the redirect that follows the form.
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
}
_STYLE = "body{font:1.1em sans-serif;max-width:32em;margin:4em auto;padding:0 1em}label{display:block;margin:.6em 0}"


def page(title: str, body: str, *, status: int = 200) -> Reply:
    """Return a page. ``body`` is HTML."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Reply(status, text.encode(), content_type="text/html; charset=utf-8", headers=_HEADERS)


def says(title: str, text: str, *, status: int = 200) -> Reply:
    """Return a page with one sentence."""
    return page(title, f"<p>{escape(text)}</p>", status=status)


def form(action: str, client: str, fields: Iterable[tuple[str, str]], account: str, scopes: Iterable[str]) -> Reply:
    """Return the page on which a person allows or denies a client; ``fields`` are sent back as they are."""
    hidden = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
    boxes = "".join(
        f'<label><input type="checkbox" name="scope" value="{escape(scope)}" checked> {escape(scope)}</label>'
        for scope in scopes
    )
    return page(
        "Allow access?",
        f"<p>The application <b>{escape(client)}</b> asks for access to your account.</p>"
        f'<form method="post" action="{escape(action)}">{hidden}'
        f'<label>Account <input name="account" value="{escape(account)}"></label>{boxes}'
        '<button id="allow" name="decision" value="allow">Allow</button> '
        '<button id="deny" name="decision" value="deny">Deny</button></form>',
    )


def code_form(action: str) -> Reply:
    """Return the page on which a person types the code that a device shows."""
    return page(
        "Connect a device",
        f'<form method="get" action="{escape(action)}">'
        '<label>Code <input name="user_code" autofocus autocomplete="off"></label><button>Next</button></form>',
    )


def redirect(location: str) -> Reply:
    """Send the browser to another address."""
    return Reply(303, headers={**_HEADERS, "Location": location})
