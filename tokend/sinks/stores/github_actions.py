"""Kind ``github-actions``: one secret of a repository, of an environment or of an organization, for GitHub's workflows.

The value is sealed for the place's public key. GitHub never returns it, and each sealing of one value differs: only the
mark shows that a value is unchanged. Facts and sources: docs/stores.md.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import quote

from pydantic import AfterValidator, Field, field_validator, model_validator

from tokend.machine.late_imports import import_alone
from tokend.plugin.extras import require_package
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.remote_sink import HttpSinkSettings
from tokend.plugin.response_status import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, retry_after
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import part_of
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_status import refuse_write, store_object
from tokend.plugin.upstream_settings import UpstreamSettings
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError
from tokend.values.secret import Secret
from tokend.values.url import host_of

LARGEST_BYTES = 48 * 1024
KEY_SECONDS = 3600.0
KEY_BYTES = 32
# The list of repositories of an organization's secret: pages of a hundred.
PAGE, MOST_PAGES = 100, 10
HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,254}", re.ASCII)
_REPOSITORY = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?/[A-Za-z0-9._-]{1,100}", re.ASCII)
_ORGANIZATION = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,98}[A-Za-z0-9_])?", re.ASCII)
_KEY_ID = re.compile(r"[\x21-\x7e]{1,200}", re.ASCII)
_VISIBILITIES = {"all", "private", "selected"}


def _secret_name(value: str) -> str:
    if not _NAME.fullmatch(value) or value.startswith("GITHUB_"):
        raise ValueError(
            "a secret's name is capital letters, digits and _, and begins with neither a digit nor GITHUB_"
        )
    return value


class GithubActionsSink(HttpSinkSettings, UpstreamSettings):
    """A secret of GitHub Actions. ``auth`` may write secrets of the place and read its public key, nothing else."""

    kind: Literal["github-actions"] = "github-actions"
    base_url: str = "https://api.github.com"
    repository: str | None = None
    environment: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    organization: str | None = None
    secret_name: Annotated[str, AfterValidator(_secret_name)]
    auth: SecretField

    @field_validator("kind")
    @classmethod
    def _is_installed(cls, value: str) -> str:
        require_package("nacl", kind=value, extra="github")
        return value

    @field_validator("repository")
    @classmethod
    def _is_a_repository(cls, value: str | None) -> str | None:
        if value is not None and (not _REPOSITORY.fullmatch(value) or value.endswith(("/.", "/.."))):
            raise ValueError("a repository is owner/name")
        return value

    @field_validator("organization")
    @classmethod
    def _is_an_organization(cls, value: str | None) -> str | None:
        if value is not None and not _ORGANIZATION.fullmatch(value):
            raise ValueError("an organization is one name, as in its URL")
        return value

    @field_validator("environment")
    @classmethod
    def _is_printable(cls, value: str | None) -> str | None:
        if value is not None and not value.isprintable():
            raise ValueError("an environment's name has no control characters")
        return value

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if (self.repository is None) == (self.organization is None):
            raise ValueError("give either repository or organization")
        if self.environment is not None and self.repository is None:
            raise ValueError("environment belongs to a repository: give repository")
        return self

    @property
    def target(self) -> str:
        """The place and the secret's name."""
        place = f"orgs/{self.organization}" if self.repository is None else self.repository
        inner = "" if self.environment is None else f"/{quote(self.environment, safe='')}"
        return f"github:{place}{inner}#{self.secret_name}"

    def exclusive_targets(self) -> frozenset[str]:
        """Return the secret as a part of its place. GitHub ignores the case of the names of places."""
        return frozenset({part_of(f"{host_of(self.base_url)}{self._place}".lower(), self.secret_name)})

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:  # no versions
        """Seal the value and set the secret. A public key that has been replaced is fetched once more."""
        value = content.values
        if not isinstance(value, Secret):
            raise TypeError("a secret has one value")
        if len(value.reveal_bytes()) > LARGEST_BYTES:
            raise SinkFinalError(f"{self.target}: the value has more than {LARGEST_BYTES // 1024} KiB")
        more = await self._visibility(runtime) if self.repository is None else {}
        reply = await self._set(runtime, value, more, await self._key(runtime))
        if reply.status == 422:
            reply = await self._set(runtime, value, more, await self._key(runtime, again=True))
        if reply.status not in {201, 204}:
            self._refuse(reply)
        return runtime.mark(value)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:  # no versions
        """Delete the secret. A 404 may also mean that the credential does not see the place: its key is asked for."""
        reply = await self._send(runtime, "DELETE", self._path)
        if reply.status == 404:
            await self._key(runtime, again=True)
        elif reply.status != 204:
            self._refuse(reply)
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Look whether the secret is there: a mark without values if it is not, else None. Nobody can read a value."""
        reply = await self._send(runtime, "GET", self._path)
        if reply.status == 404:
            return runtime.mark(None)
        if reply.status != 200 or store_object(reply, self.target).get("name") != self.secret_name:
            self._refuse(reply)
        return None

    @property
    def _place(self) -> str:
        if self.repository is None:
            return f"/orgs/{self.organization}/actions/secrets"
        if self.environment is None:
            return f"/repos/{self.repository}/actions/secrets"
        return f"/repos/{self.repository}/environments/{quote(self.environment, safe='')}/secrets"

    @property
    def _path(self) -> str:
        return f"{self._place}/{self.secret_name}"

    async def _set(
        self, runtime: SinkRuntime, value: Secret, more: Mapping[str, Any], key: Mapping[str, str]
    ) -> UpstreamReply:
        sealed = await runtime.run_in_thread(lambda: self._sealed(value, key["key"]))
        body = json.dumps({"encrypted_value": sealed, "key_id": key["key_id"], **more}).encode()
        return await self._send(runtime, "PUT", self._path, body)

    def _sealed(self, value: Secret, key: str) -> str:
        import_alone("nacl.public")
        from nacl.exceptions import CryptoError
        from nacl.public import PublicKey, SealedBox

        try:
            return base64.b64encode(SealedBox(PublicKey(base64.b64decode(key))).encrypt(value.reveal_bytes())).decode()
        except (CryptoError, RuntimeError):
            raise SinkError(f"{self.target}: GitHub's public key is not usable") from None

    async def _key(self, runtime: SinkRuntime, *, again: bool = False) -> Mapping[str, str]:
        """Return the place's public key, which is kept for an hour."""
        if not again and (kept := runtime.kept(self._place)) is not None:
            return dict(kept)
        found = store_object(await self._get(runtime, f"{self._place}/public-key"), self.target)
        key, key_id = found.get("key"), found.get("key_id")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id) or not _is_key(key):
            raise SinkError(f"{self.target}: GitHub answered without a usable public key")
        made = {"key": str(key), "key_id": key_id}
        runtime.keep(self._place, made, seconds=KEY_SECONDS)
        return made

    async def _visibility(self, runtime: SinkRuntime) -> Mapping[str, Any]:
        """Return what a PUT must repeat, or it would change who sees an organization's secret. A new one is private."""
        reply = await self._send(runtime, "GET", self._path)
        if reply.status == 404:
            return {"visibility": "private"}
        if reply.status != 200:
            self._refuse(reply)
        seen_by = store_object(reply, self.target).get("visibility")
        if seen_by not in _VISIBILITIES:
            raise SinkError(f"{self.target}: GitHub answered without the visibility of the secret")
        if seen_by != "selected":
            return {"visibility": seen_by}
        return {"visibility": seen_by, "selected_repository_ids": await self._selected(runtime)}

    async def _selected(self, runtime: SinkRuntime) -> list[int]:
        ids: list[int] = []
        for page in range(1, MOST_PAGES + 1):
            reply = await self._get(runtime, f"{self._path}/repositories?per_page={PAGE}&page={page}")
            found = store_object(reply, self.target).get("repositories")
            listed = found if isinstance(found, list) else [None]
            numbers = [one["id"] for one in listed if isinstance(one, dict) and type(one.get("id")) is int]
            if len(numbers) != len(listed):
                raise SinkError(f"{self.target}: GitHub answered without the repositories that see the secret")
            ids += numbers
            if len(numbers) < PAGE:
                return ids
        raise SinkFinalError(f"{self.target}: more than {PAGE * MOST_PAGES} selected repositories see the secret")

    async def _get(self, runtime: SinkRuntime, path: str) -> UpstreamReply:
        reply = await self._send(runtime, "GET", path)
        if reply.status != 200:
            self._refuse(reply)
        return reply

    async def _send(self, runtime: SinkRuntime, method: str, path: str, body: bytes = b"") -> UpstreamReply:
        headers = {**HEADERS, "Content-Type": "application/json"} if body else HEADERS
        return await runtime.exchange(UpstreamRequest(method, self.base_url + path, headers, body), auth=self.auth)

    def _refuse(self, reply: UpstreamReply) -> NoReturn:
        """Raise the `SinkError` for a reply. GitHub answers 403 for its rate limits too, and 404 for what is hidden."""
        if reply.status == 403 and (pause := _pause(reply)) is not None:
            raise SinkUnavailableError(f"{self.target}: GitHub answered 403: its rate limit", retry_after=pause)
        if reply.status == 404:
            raise SinkRejectedError(
                f"{self.target}: GitHub answered 404: there is no such place, or the credential may not see its secrets"
            )
        refuse_write(reply, self.target)


def _is_key(key: object) -> bool:
    try:
        return isinstance(key, str) and len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _pause(reply: UpstreamReply) -> float | None:
    """Return the pause that a rate limit asks for, in seconds; None if the reply is about no rate limit."""
    if (asked := retry_after(reply)) is not None:
        return asked
    if reply.headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = reply.headers.get("x-ratelimit-reset", "").strip()
    if not re.fullmatch(r"[0-9]{1,11}", reset, re.ASCII):
        return SHORTEST_PAUSE_SECONDS
    # By GitHub's own clock where it shows it.
    seconds = float(reset) - (reply.date or reply.sent_at.wall).timestamp()
    return min(max(seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
