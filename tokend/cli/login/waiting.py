"""The wait for the end of a login: for a browser that arrives, an address that is pasted, and what the daemon says."""

import select
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tokend.cli.login.pages import Page
from tokend.cli.login.pasted_address import find_address
from tokend.cli.login.redirect_listener import RedirectListener
from tokend.cli.login.requests import Answer, LoginRequests
from tokend.cli.login.terminal_input import TerminalInput
from tokend.cli.streams import escaped
from tokend.client import BadRequestError, TokendError, UnavailableError

LOOK_SECONDS = 1.0
REPEAT_SECONDS = 3.0
TIME_OVER = "the login was not finished in time: it is cancelled"
UNPROVEN = "Nothing in the address shows that it is of your login. Is that your account? Type yes to keep it:"
FOREIGN = "that is no address of the login under way: nothing was sent; it goes on"
NO_ADDRESS = "there is no address in that: paste the whole line of the browser's address bar, with ? and what follows"


class TimeOverError(TokendError):
    """The person did not finish in time."""

    exit_code = 124


class NoWayError(TokendError):
    """No address can arrive: there is neither a listener nor an open standard input."""

    exit_code = 2


@dataclass(slots=True)
class Waiting:
    """One wait. ``listener`` and ``typed`` are None where they are not used; ``say`` shows a person a sentence.

    ``redirect_uri`` is where the browser ends; None for a login on another device.
    """

    requests: LoginRequests
    say: Callable[[str], None]
    deadline: float
    redirect_uri: str | None = None
    listener: RedirectListener | None = None
    typed: TerminalInput | None = None
    # An address that the daemon could not exchange yet, and when it is sent again.
    _again: tuple[str, float] | None = None
    _said: str | None = None

    def until_ended(self) -> Answer:
        """Return the daemon's last answer about the login. Raises `TimeOverError`, `NoWayError`, `TokendError`."""
        while True:
            if time.monotonic() >= self.deadline:
                raise TimeOverError(TIME_OVER)
            answer = self._wait() or self._repeat() or self.requests.look()
            if answer["state"] == "pending" and answer.get("awaits_confirmation"):
                answer = self._confirmed(answer["subject"])
            if answer["state"] != "pending":
                return answer
            self._say_once(answer.get("error"))

    def _wait(self) -> Answer | None:
        typed = self.typed if self.typed is not None and self.typed.is_open else None
        if self.redirect_uri is not None and self.listener is None and typed is None and self._again is None:
            raise NoWayError("standard input is closed, and nothing listens here: the login cannot be finished")
        sources = [one for one in (self.listener, typed) if one is not None]
        left = max(0.0, min(LOOK_SECONDS, self.deadline - time.monotonic()))
        ready, _, _ = select.select(sources, [], [], left)
        answer = None
        if typed in ready and typed is not None:
            answer = self._take_typed(typed.read())
        if self.listener in ready and answer is None:
            answer = self._take_arrival()
        return answer

    def _take_typed(self, text: str) -> Answer | None:
        if self.redirect_uri is None or not text.strip():
            return None
        address = find_address(text, self.redirect_uri)
        if address is None:
            self.say(NO_ADDRESS)
            return None
        return self._finish(address)[0]

    def _take_arrival(self) -> Answer | None:
        arrival = self.listener.take() if self.listener is not None else None
        if arrival is None:
            return None
        page: Page = "later"
        try:
            answer, page = self._finish(arrival.address)
        finally:
            arrival.answer(page)
        return answer

    def _finish(self, address: str) -> tuple[Answer | None, Page]:
        """Send an address to the daemon. Returns its answer if the login has ended, and the page for the browser."""
        try:
            answer = self.requests.finish(address)
        except BadRequestError:
            self.say(FOREIGN)
            return None, "refused"
        except UnavailableError as error:
            self._again = (address, time.monotonic() + REPEAT_SECONDS)
            self._say_once(str(error))
            return None, "later"
        self._again = None
        return answer, "done" if answer["state"] == "done" else "failed"

    def _confirmed(self, subject: str | None) -> Answer:
        """Ask the person whose account it is; a login that is not confirmed is cancelled."""
        if subject is None:
            self.say(f"the server names no account. {UNPROVEN}")
        else:
            self.say(f"this login is of the account {escaped(subject)}. {UNPROVEN}")
        if self._typed_line().strip().lower() not in {"y", "yes"}:
            self.requests.cancel()
            return self.requests.look()
        return self.requests.confirm()

    def _typed_line(self) -> str:
        """Return the next line that is typed from now on. Raises `TimeOverError`, `NoWayError`."""
        while self.typed is not None and self.typed.is_open:
            if (left := self.deadline - time.monotonic()) <= 0:
                raise TimeOverError(TIME_OVER)
            if select.select([self.typed], [], [], left)[0] and (text := self.typed.read()):
                return text
        raise NoWayError("standard input is closed, and nobody has confirmed the account: the login is cancelled")

    def _repeat(self) -> Answer | None:
        if self._again is None or time.monotonic() < self._again[1]:
            return None
        address, self._again = self._again[0], None
        return self._finish(address)[0]

    def _say_once(self, text: str | None) -> None:
        if text is not None and text != self._said:
            self.say(f"{text}; tokend tries again")
        self._said = text


def cancelled(requests: LoginRequests) -> None:
    """Cancel a login that is given up; a daemon that is away has forgotten it."""
    with suppress(TokendError):
        requests.cancel()
