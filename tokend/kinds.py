"""Tables of provider and sink kinds: name → "module:Class", imported when a configuration names the kind.

Installed packages add kinds by the entry-point groups ``tokend.providers`` and ``tokend.sinks``; `config.plugin_files`
adds those of ``[daemon] plugins``. `config` reads a configuration; `plugin.kind_check` checks a class.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from pydantic import BaseModel

import tokend
from tokend import config
from tokend.config.kind_lookup import Package
from tokend.machine.late_imports import NotImportedError, import_alone
from tokend.plugin.kind_check import provider_faults, sink_faults
from tokend.plugin.plugin_errors import PluginError, of_another_api, words_of
from tokend.plugin.plugin_run import first_run
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.values.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)


class KindTable(Generic[M]):
    """Classes of kinds by name: first from ``table``, then from the entry points of ``group``.

    A value of ``table`` is "module:Class" or the class itself. ``faults`` gets a kind's name and its class, and returns
    the faults of the class. A package cannot replace a built-in kind.
    """

    def __init__(
        self, group: str, table: Mapping[str, str | type[M]], faults: Callable[[str, object], list[str]]
    ) -> None:
        self._group = group
        self._table = dict(table)
        self._faults = faults
        self._imported: dict[str, type[M]] = {}
        self._packages: dict[str, Package] = {}

    def names(self) -> list[str]:
        """Return the name of every kind: built-in kinds first, then those of installed packages. Imports no class."""
        return list(dict.fromkeys([*self._table, *sorted(self._offered())]))

    def get(self, kind: str) -> type[M] | None:
        """Import the class of ``kind``; None if no kind has this name. Blocks.

        Raises `ConfigError` if the import fails, if the class is not usable as the kind, if two packages offer the
        kind, or if the version of tokend on disk is not the running one. Failures are not cached.
        """
        if (known := self._imported.get(kind)) is not None:
            return known
        place, package = self._table.get(kind), None
        if place is None:
            # Reading the metadata of all installed packages takes 10 ms and more: only for kinds that are not built in.
            offered = self._offered().get(kind, {})
            if len(offered) > 1:
                raise ConfigError(f'kind "{kind}" is offered twice: by {" and ".join(offered)}; uninstall one')
            if not offered:
                return None
            place, package = next(iter(offered.items()))
        found = _imported(kind, place) if isinstance(place, str) else place
        try:
            faults = self._faults(kind, found)
        except Exception as error:
            # A class may declare anything; its check must not crash the daemon's reload.
            faults = [f"the check of its class failed ({type(error).__name__})"]
        if faults:
            raise ConfigError(f'kind "{kind}" ({_name(place)}) is not usable: {"; ".join(faults)}')
        self._imported[kind] = found
        if package is not None:
            self._packages[kind] = package
        return found

    def is_built_in(self, kind: str) -> bool:
        """Return whether a kind is one of tokend's own."""
        return kind in self._table

    def offers(self, kind: str) -> list[str]:
        """Return the "module:Class" of each package that offers a kind. Imports no class."""
        return list(self._offered().get(kind, ()))

    def package(self, kind: str) -> Package | None:
        """Return the package of a kind that `get` has imported; None for tokend's own."""
        return self._packages.get(kind)

    def packages(self) -> dict[str, Package]:
        """Return the package of each kind that packages offer and tokend has not itself. Imports no class."""
        offered = {kind: found for kind, found in self._offered().items() if kind not in self._table}
        return {kind: next(iter(found.values())) for kind, found in offered.items()}

    def all(self) -> dict[str, type[M]]:
        """Import all kinds and return their classes by name. Raises `ConfigError` for the first unusable kind."""
        found, unusable = self.usable()
        if unusable:
            raise unusable[0]
        return found

    def usable(self) -> tuple[dict[str, type[M]], list[ConfigError]]:
        """Import all kinds. Return the usable classes by name, and one error for each unusable kind."""
        found: dict[str, type[M]] = {}
        unusable: list[ConfigError] = []
        for name in self.names():
            try:
                if (model := self.get(name)) is not None:
                    found[name] = model
            except ConfigError as error:
                unusable.append(error)
        return found, unusable

    def including(self, more: Mapping[str, str | type[M]]) -> "KindTable[M]":
        """Return a table that also has the kinds of ``more``, which override kinds of the same name."""
        return KindTable(self._group, {**self._table, **more}, self._faults)

    def _offered(self) -> dict[str, dict[str, Package]]:
        """Return the entry points by kind: the "module:Class" of each package that offers the kind."""
        from importlib.metadata import entry_points  # 15 ms

        offered: dict[str, dict[str, Package]] = {}
        for entry in entry_points(group=self._group):
            module = entry.value.partition(":")[0].partition(".")[0]
            package = Package(module, "unknown") if entry.dist is None else Package(entry.dist.name, entry.dist.version)
            offered.setdefault(entry.name, {}).setdefault(entry.value, package)
        return offered


PROVIDERS: KindTable[ProviderSettings] = KindTable(
    "tokend.providers",
    {
        "projectx": "tokend.providers.projectx:ProjectX",
        "tt": "tokend.providers.tt:TT",
        "jwt": "tokend.providers.jwt:Jwt",
        "request-jwt": "tokend.providers.request_jwt:RequestJwt",
        "auth-token": "tokend.providers.auth_token:AuthToken",
        "vault": "tokend.providers.vault:Vault",
        "oauth2": "tokend.providers.oauth2.kind:OAuth2",
        "http": "tokend.providers.http.kind:Http",
        "command": "tokend.providers.command:Command",
        "file": "tokend.providers.file:File",
        "github-app": "tokend.providers.github_app:GithubApp",
        "google-service-account": "tokend.providers.google_service_account:GoogleServiceAccount",
        "http-on-demand": "tokend.providers.http.on_demand:HttpOnDemand",
        "jwt-on-demand": "tokend.providers.jwt_on_demand:JwtOnDemand",
    },
    provider_faults,
)

SINKS: KindTable[SinkSettings] = KindTable(
    "tokend.sinks",
    {
        "json": "tokend.sinks.files.json:JsonSink",
        "dotenv": "tokend.sinks.files.dotenv:DotenvSink",
        "raw": "tokend.sinks.files.raw:RawSink",
        "template": "tokend.sinks.files.template:TemplateSink",
        "directory": "tokend.sinks.files.directory:DirectorySink",
        "patch": "tokend.sinks.files.patch:PatchSink",
        "socket": "tokend.sinks.socket:SocketSink",
        "railway": "tokend.sinks.stores.railway:RailwaySink",
        "github-actions": "tokend.sinks.stores.github_actions:GithubActionsSink",
        "http": "tokend.sinks.stores.http:HttpSink",
        "aws-secretsmanager": "tokend.sinks.stores.aws_secretsmanager:AwsSecretsManagerSink",
        "aws-ssm": "tokend.sinks.stores.aws_ssm:AwsSsmSink",
        "vault": "tokend.sinks.stores.vault:VaultSink",
        "redis": "tokend.sinks.stores.redis:RedisSink",
        "keyring": "tokend.sinks.stores.keyring:KeyringSink",
        "kubernetes": "tokend.sinks.stores.kubernetes:KubernetesSink",
        "nats": "tokend.sinks.stores.nats:NatsSink",
    },
    sink_faults,
)


def load_config(
    explicit: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    before: config.Config | None = None,
    starting: bool = False,
    in_shell: bool = False,
    reads_secrets: bool = True,
) -> config.Config:
    """Find, read and validate the configuration. Blocks.

    ``explicit`` is the path on the command line, ``before`` the configuration in force at a reload, ``starting`` true
    for a start, which goes on without what this machine lacks, ``in_shell`` for a check that is not the daemon's,
    ``reads_secrets`` false for a look at the tables alone. Raises `ConfigError` with all errors at once.
    """
    path = config.find_config(explicit, environ=environ, uid=os.getuid())
    return config.load(
        path,
        providers=PROVIDERS,
        sinks=SINKS,
        environ=environ,
        before=before,
        starting=starting,
        in_shell=in_shell,
        reads_secrets=reads_secrets,
    )


def _imported(kind: str, place: str) -> "type[M]":
    """Import the class at ``place``, "module:Class". Raises `ConfigError`."""
    module, _, name = place.partition(":")
    own = module.partition(".")[0] == "tokend"
    if own and module not in sys.modules and (installed := _installed_version()) != tokend.__version__:
        # Modules of two versions in one process could call each other with wrong arguments.
        what = f"{installed} is installed" if installed else "is being replaced or was uninstalled"
        raise ConfigError(
            f'restart needed: tokend {what} and {tokend.__version__} is running, which did not use kind "{kind}" before'
        )

    def failed(why: str, advice: str = "") -> ConfigError:
        usual = "restart needed, if tokend was upgraded" if own else "repair its package; then restart needed"
        return ConfigError(f'kind "{kind}" cannot be loaded: {place}: {why}; {advice or usual}')

    try:
        loaded = import_alone(module) if own else first_run(module, partial(_foreign, module))
        found: type[M] = getattr(loaded, name)
    except NotImportedError as error:
        raise failed(str(error), "tokend reload looks again") from None
    except PluginError as error:
        raise failed(error.message) from None
    except Exception as error:
        raise failed(words_of(error)) from None
    if not own and (fault := of_another_api(getattr(loaded, "API", None))) is not None:
        raise ConfigError(f'kind "{kind}" cannot be loaded: {place}: {fault}')
    return found


def _foreign(module: str) -> ModuleType:
    """Import a module of another package, in a thread of its own: what would end a process is the module's error."""
    try:
        return import_alone(module)
    except BaseException as error:
        raise PluginError(words_of(error)) from None


def _installed_version() -> str | None:
    """Return the version of tokend on disk now; None if it cannot be read."""
    try:
        found = _VERSION.search(Path(tokend.__file__).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return None if found is None else found[1]


def _name(place: object) -> str:
    return place if isinstance(place, str) else getattr(place, "__qualname__", repr(type(place)))
