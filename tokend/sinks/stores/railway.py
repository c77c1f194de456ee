"""Kind ``railway``: one variable of a service or of an environment at Railway, and the redeployment that applies it.

Facts and sources: docs/stores.md. Railway answers failures with status 200 and ``errors``. The mutation for
collections is never used: with ``replace`` it deletes all other variables.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.remote_sink import HttpSinkSettings
from tokend.plugin.response_status import retry_after
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import AnnouncementTiming, part_of
from tokend.plugin.settings_base import Duration
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_status import refuse_write, store_object
from tokend.plugin.strict_json import try_object
from tokend.plugin.upstream_settings import UpstreamSettings
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError
from tokend.values.secret import Secret
from tokend.values.url import host_of

PATH = "/graphql/v2"
# Railway sets this variable in each of its containers.
OWN_SERVICE = "RAILWAY_SERVICE_ID"
# Railway replaces the text after it by another variable.
REFERENCE = "${{"

UPSERT = "mutation($input: VariableUpsertInput!) { variableUpsert(input: $input) }"
DELETE = "mutation($input: VariableDeleteInput!) { variableDelete(input: $input) }"
READ = (
    "query($projectId: String!, $environmentId: String!, $serviceId: String) "
    "{ variables(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId, unrendered: true) }"
)
REDEPLOY = (
    "mutation($environmentId: String!, $serviceId: String!) "
    "{ serviceInstanceRedeploy(environmentId: $environmentId, serviceId: $serviceId) }"
)

# Words of Railway's errors and codes, in lower case.
_REFUSALS = ("not authorized", "unauthorized", "unauthenticated", "forbidden", "token not found", "invalid token")
_LIMITS = ("rate limit", "ratelimit", "rate_limit", "rate-limit", "too many requests", "too_many_requests")
_OTHERS = ("problem processing request", "not found", "bad_user_input", "internal_server_error")
# All that is kept of a message that may be of any length.
_LONGEST_MESSAGE = 500


_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


def _id(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("an id at Railway is letters, digits and -, as its pages and its URLs show it")
    return value


def _variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise ValueError("a variable is letters, digits and _, and does not begin with a digit: JWT_TOKEN")
    return value


Id = Annotated[str, AfterValidator(_id)]


class RailwaySink(HttpSinkSettings, UpstreamSettings):
    """A variable. ``auth`` is a project token, or with ``account`` the token of an account or a workspace.

    Without ``service`` it is a shared variable of the environment. ``deploy = "auto"`` redeploys the service after a
    write, at most once per ``deploy_interval``; without it the next deployment gets the value.
    """

    one_line = True

    kind: Literal["railway"] = "railway"
    base_url: str = "https://backboard.railway.com"
    project: Id
    environment: Id
    service: Id | None = None
    variable: Annotated[str, AfterValidator(_variable)]
    auth: SecretField
    account: bool = False
    deploy: Literal["skip", "auto"] = "skip"
    deploy_interval: Duration = timedelta(hours=1)
    # Redeploy also the service that runs this daemon: each new token would restart it.
    deploy_self: bool = False

    @model_validator(mode="after")
    def _has_something_to_deploy(self) -> Self:
        if self.deploy == "auto" and self.service is None:
            raise ValueError('deploy = "auto" needs service: a shared variable belongs to no service')
        return self

    @property
    def auth_place(self) -> tuple[str, str]:
        """The header of the credential, and the text before the credential."""
        return ("Authorization", "Bearer ") if self.account else ("Project-Access-Token", "")

    @property
    def target(self) -> str:
        """Environment, service and variable."""
        place = self.environment if self.service is None else f"{self.environment}/{self.service}"
        return f"railway:{place}#{self.variable}"

    def exclusive_targets(self) -> frozenset[str]:
        """Return the variable as a part of its service."""
        whole = f"railway:{host_of(self.base_url)}/{self.environment}/{self.service or ''}".lower()
        return frozenset({part_of(whole, self.variable)})

    def announcement_timing(self) -> AnnouncementTiming | None:
        """Return when the service is redeployed; None if it is not."""
        if self.deploy == "skip" or self._is_own():
            return None
        return AnnouncementTiming(interval_seconds=self.deploy_interval.total_seconds())

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Set the variable."""
        value = _single(content)
        if REFERENCE in value.reveal():
            raise SinkFinalError(f"{self.target}: the value holds ${{{{, which Railway replaces by another variable")
        made = {**self._place(), "name": self.variable, "value": value.reveal(), "skipDeploys": True}
        self._require_done(await self._ask(runtime, UPSERT, {"input": made}), "variableUpsert")
        return self._remarked(runtime.mark(value))

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Delete the variable. Railway may answer with an error where there is none: then it is looked for."""
        wanted = {**self._place(), "name": self.variable}
        try:
            self._require_done(await self._ask(runtime, DELETE, {"input": wanted}), "variableDelete")
        except _RefusedError:
            if await self._value(runtime) is not None:
                raise
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the variables of the service, and look at this one alone."""
        return self._remarked(runtime.mark(await self._value(runtime)))

    async def announce(self, runtime: SinkRuntime) -> None:
        """Redeploy the service, so that it starts with the present value. A restart would not apply it."""
        wanted = {"environmentId": self.environment, "serviceId": self.service}
        self._require_done(await self._ask(runtime, REDEPLOY, wanted), "serviceInstanceRedeploy")

    async def _value(self, runtime: SinkRuntime) -> Secret | None:
        found = (await self._ask(runtime, READ, self._place())).get("variables")
        value = found.get(self.variable, "") if isinstance(found, dict) else None
        if not isinstance(value, str):
            raise SinkError(f"{self.target}: Railway answered without the variables")
        return Secret(value) if value else None

    def _place(self) -> dict[str, str]:
        place = {"projectId": self.project, "environmentId": self.environment}
        return place if self.service is None else {**place, "serviceId": self.service}

    def _is_own(self) -> bool:
        own = os.environ.get(OWN_SERVICE, "")
        return not self.deploy_self and self.service is not None and self.service.lower() == own.lower()

    def _remarked(self, mark: Mark) -> Mark:
        if self.deploy == "skip" or not self._is_own():
            return mark
        return Mark(mark.digest, mark.version, "not redeployed: tokend itself runs in this service (deploy_self)")

    async def _ask(self, runtime: SinkRuntime, query: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one operation and return its ``data``. Raises the `SinkError` for Railway's own words."""
        body = json.dumps({"query": query, "variables": variables}, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = UpstreamRequest("POST", self.base_url + PATH, headers, body)
        try:
            return self._data(await runtime.exchange(request, auth=self.auth))
        except _NotAuthorizedError:
            # It came with status 200: the runtime cannot know that it is a refusal.
            if not await runtime.renewed(self.auth):
                raise
        return self._data(await runtime.exchange(request, auth=self.auth))

    def _data(self, reply: UpstreamReply) -> Mapping[str, Any]:
        self._refuse_errors(reply)
        if reply.status != 200:
            refuse_write(reply, self.target)
        answer = store_object(reply, self.target)
        data = answer.get("data")
        if answer.get("errors") or not isinstance(data, dict):
            raise SinkError(f"{self.target}: Railway answered without a result")
        return data

    def _refuse_errors(self, reply: UpstreamReply) -> None:
        errors = (try_object(reply.body) or {}).get("errors")
        if reply.status not in {200, 400} or not isinstance(errors, list) or not errors:
            return  # another status says more
        said = " ".join(_words(error) for error in errors if isinstance(error, dict))
        word = next((one for one in (*_REFUSALS, *_LIMITS, *_OTHERS) if one in said), None)
        what = f"{self.target}: Railway refused it" + (f" ({word})" if word else "")
        if word in _REFUSALS:
            raise _NotAuthorizedError(f"{what}: the token is not accepted, or may not change this environment")
        if word in _LIMITS:
            raise SinkUnavailableError(f"{what}: too many requests", retry_after=retry_after(reply))
        raise _RefusedError(f"{what}: are project, environment and service right?")

    def _require_done(self, data: Mapping[str, Any], field: str) -> None:
        if data.get(field) is not True:
            raise SinkError(f"{self.target}: Railway did not confirm {field}")


class _NotAuthorizedError(SinkRejectedError):
    """Railway's own words for a token that it does not accept."""


class _RefusedError(SinkError):
    """Railway's answer has errors of no known class."""


def _words(error: Mapping[str, Any]) -> str:
    """Return message and code of one error, in lower case, to search for known words. Never shown."""
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return " ".join(one[:_LONGEST_MESSAGE].lower() for one in (error.get("message"), code) if isinstance(one, str))


def _single(content: Content) -> Secret:
    if not isinstance(content.values, Secret):
        raise TypeError("a variable has one value")
    return content.values
