"""The requests of one login to the daemon."""

from typing import Any

from tokend.client import TokenClient, UnknownTokenError
from tokend.client.calls import token_target
from tokend.client.errors import NotRunningError

Answer = dict[str, Any]


class LoginRequests:
    """Begin a login, and look after the one that was begun."""

    def __init__(self, client: TokenClient, name: str, *, other_account: bool) -> None:
        self._client = client
        self._name = name
        self._other_account = other_account
        self._target = ""
        self._is_beginning = False
        self._interruption: BaseException | None = None

    def interrupt(self, interruption: BaseException) -> bool:
        """Raise ``interruption`` when the daemon has answered, if a login is being begun: it can be cancelled then.

        Returns whether it will be raised. The second time it will not: the caller need not wait.
        """
        if not self._is_beginning or self._interruption is not None:
            return False
        self._interruption = interruption
        return True

    def begin(self, flow: str, redirect_uri: str | None) -> Answer:
        """Begin a login."""
        body: Answer = {"flow": flow} if redirect_uri is None else {"flow": flow, "redirect_uri": redirect_uri}
        if self._other_account:
            body["other_account"] = True
        self._is_beginning = True
        try:
            answer = self._client.call("POST", token_target(self._name, "login"), body)
            self._target = f"{token_target(self._name, 'login')}/{answer['login_id']}"
        finally:
            self._is_beginning = False
            if self._interruption is not None:
                raise self._interruption
        return answer

    def finish(self, address: str) -> Answer:
        """Send the address at which the browser has ended."""
        return self._of_ours("POST", {"redirected_to": address})

    def confirm(self) -> Answer:
        """Say that the account of the login is right."""
        return self._of_ours("POST", {"confirmed": True})

    def look(self) -> Answer:
        """Return what has come of the login."""
        return self._of_ours("GET")

    def cancel(self) -> None:
        """Cancel the login, if one was begun."""
        if self._target:
            self._client.call("DELETE", self._target)

    def _of_ours(self, method: str, body: Answer | None = None) -> Answer:
        try:
            return self._client.call(method, self._target, body)
        except UnknownTokenError:
            text = "tokend was started again while the login was under way, and knows it no more: begin again"
            raise NotRunningError(text, code="unknown_token") from None
