"""One life of a daemon whose tokens come from logins: the real kind ``oauth2``, on a line to `LoginServer`."""

from typing import Any

from tests.simulation.login_server import AFTER, HARMLESS
from tests.simulation.process import Process, Threads
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.sandbox.messages import Reply
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.values.errors import SecretError, TransientError
from tokend.values.secret import Secret

TIMEOUT_SECONDS = 30.0


class LoginProcess(Process):
    """A process of a `LoginWorld`."""

    def line(self, settings: Any) -> "LoginLine":
        return LoginLine(settings, self)

    def kill(self) -> None:
        if not self.dead and self.world.may_go_wrong():
            super().kill()
            self.world.killed()
            for one in self.supervisor.exchanges_under_way():
                one.break_off()  # nothing else cuts an exchange


class LoginLine(ProviderRuntime):
    """The real `ProviderRuntime` with secrets of the simulated world, and with its network."""

    def __init__(self, settings: Any, process: LoginProcess) -> None:
        super().__init__(settings, clock=process.clock, threads=Threads(process, "state"))
        self._process = process
        self._upstream = LoginWire(settings, process)  # type: ignore[assignment]  # no real network

    async def reveal(self, source: SecretSource) -> Secret:
        if source.file is None:
            return await super().reveal(source)
        value = self._process.world.secrets.get(source.file)
        if value is None:
            raise SecretError(f"{source} cannot be read")
        return Secret(value)


class LoginWire:
    """`upstream.client.Upstream` to the simulated server: the exchange happens, or goes wrong, at both ends."""

    def __init__(self, settings: Any, process: LoginProcess) -> None:
        self._process = process
        self._name = settings.client_id
        self._login = settings.audience[0]

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        process = self._process
        process.may_die()
        if process.dead:
            raise TransientError("dead")
        with process.world.under_way(self._login, request):
            return await self._exchange(request, process.world.fault_of(self._login))

    async def _exchange(self, request: UpstreamRequest, fault: str) -> UpstreamReply:
        process, machine = self._process, self._process.machine
        sent = machine.instant()
        if fault == "refused":
            await process.clock.sleep(0.1)
            raise TransientError("the connection was refused", repeatable=True, is_sent=False)
        seconds = machine.draw.uniform(1.0, 20.0) if fault in ("slow", "silent-after") else machine.draw.uniform(0, 0.5)
        replies: list[Reply] = []
        if fault in HARMLESS or fault in AFTER:
            process.world.arrives(self._login, request, fault, seconds, replies)
        await process.clock.sleep(TIMEOUT_SECONDS if fault.startswith("silent") else seconds + 0.1)
        process.may_die()
        if process.dead or fault.startswith(("silent", "reset")):
            raise TransientError("no answer", repeatable=True, is_answered=False)
        if fault == "cut-after":
            raise TransientError("the answer broke off")
        reply = replies[0] if fault in HARMLESS else _instead(fault)
        process.world.answered(self._login, request, reply.status)
        headers = {"content-type": reply.content_type, **{name.lower(): text for name, text in reply.headers.items()}}
        return UpstreamReply(reply.status, headers, reply.body, sent, None, 0.0)


def _instead(fault: str) -> Reply:
    if fault.startswith("page"):
        return Reply(200, b"<html>We are at work. Come back later.</html>", content_type="text/html")
    return Reply(int(fault[:3]), b"<html>no</html>", content_type="text/html")
