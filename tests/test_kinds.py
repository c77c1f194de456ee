"""Kinds are imported only when a configuration names them; installed packages add kinds; each error names its place."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import tokend
from tests.config.written import AUTH_TOKEN, ENVIRON, PARTNER, TT, only, refused, written
from tests.files.children import until
from tokend import kinds
from tokend.config import Config, InvalidConfigError, load
from tokend.kinds import PROVIDERS, SINKS, KindTable
from tokend.plugin import plugin_run
from tokend.plugin.kind_check import provider_faults
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.providers.jwt import Jwt
from tokend.values.errors import ConfigError

LOADED = """
import json, sys
from pathlib import Path
from tokend.daemon import process
from tokend.kinds import load_config
load_config(Path(sys.argv[1]), environ={"KEY": "obviously-fake-secret-of-32-bytes"})
print(json.dumps(sorted(sys.modules)))
"""
WEATHER = """
from tokend.plugin.settings import HeldSettings

class Weather(HeldSettings):
    async def fetch(self, runtime, previous):
        raise NotImplementedError
"""


def modules_after(path: Path) -> set[str]:
    """All modules that a daemon's process has imported once the configuration is loaded."""
    run = subprocess.run([sys.executable, "-c", LOADED, str(path)], check=True, capture_output=True, text=True)
    return set(json.loads(run.stdout))


def package(directory: Path, source: str, *, name: str, value: str, module: str, version: str = "1.0") -> None:
    """Install a package with one module and one entry point of ``tokend.providers``."""
    directory.mkdir(exist_ok=True)
    (directory / f"{module}.py").write_text(source)
    about = directory / f"{module}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
    (about / "entry_points.txt").write_text(f"[tokend.providers]\n{name} = {value}\n")


def loaded(path: Path) -> Config:
    return load(path, providers=PROVIDERS, sinks=SINKS, environ=ENVIRON)


@pytest.mark.parametrize(
    ("text", "named", "without"),
    [
        (PARTNER, {"tokend.providers.jwt"}, {"httpx", "httpcore", "jwt", "cryptography", "jinja2", "jmespath"}),
        (TT + AUTH_TOKEN, {"tokend.providers.tt", "tokend.providers.auth_token"}, {"jwt", "cryptography", "jinja2"}),
        (
            PARTNER + "[[providers.partner.sinks]]\nkind = 'raw'\npath = '/run/t'\n",
            {"tokend.providers.jwt", "tokend.sinks.files.raw"},
            {"httpx", "tokend.sinks.files.template", "tokend.sinks.files.dotenv", "jinja2"},
        ),
    ],
    ids=["jwt", "network", "sink"],
)
def test_only_what_a_configuration_names_is_imported(
    tmp_path: Path, text: str, named: set[str], without: set[str]
) -> None:
    """The other kinds, and the libraries that only they need, cost neither time nor memory."""
    places = {
        place.partition(":")[0]
        for table in (PROVIDERS, SINKS)
        for place in table._table.values()
        if isinstance(place, str)
    }
    found = modules_after(written(tmp_path, text))
    assert found & places == named
    assert not found & without


def test_every_name_is_known_without_an_import() -> None:
    """For "did you mean": the packages of providers and sinks import nothing themselves."""
    code = (
        "import sys; from tokend.kinds import PROVIDERS, SINKS; import tokend.providers, tokend.sinks;"
        "print([*PROVIDERS.names(), *SINKS.names()], [m for m in sys.modules if m.startswith('tokend.providers.')])"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    names = [*PROVIDERS.names(), *SINKS.names()]
    assert {"projectx", "auth-token", "json", "railway", "vault"} <= set(names)
    assert run.stdout == f"{names} []\n"


def test_a_package_adds_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point is enough; the kind is named where an unknown one is refused."""
    package(tmp_path / "site", WEATHER, name="weather", value="weather_kind:Weather", module="weather_kind")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    config = loaded(written(tmp_path, "[providers.here]\nkind = 'weather'\n"))
    assert config.providers["here"].settings.kind == "weather"
    assert type(config.providers["here"].settings).__name__ == "Weather"
    problem = only(refused(written(tmp_path, "[providers.here]\nkind = 'wether'\n")))
    assert '"weather"; did you mean "weather"?' in problem.message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("import sys\nsys.exit('no licence')", "faulty_kind:Faulty: SystemExit: no licence; repair its package"),
        ("class Stop(BaseException): pass\nraise Stop", "faulty_kind:Faulty: Stop; repair"),
        ("x = 1", "AttributeError: module 'faulty_kind' has no attribute 'Faulty'"),
        ("class Faulty: pass", "must be a class that inherits either HeldSettings or OnDemandSettings"),
        (
            "from tokend.plugin.settings import HeldSettings\nclass Faulty(HeldSettings): pass",
            "it has no method fetch: write async def fetch(self, runtime, previous)",
        ),
    ],
    ids=["import", "exit", "base-exception", "attribute", "class", "method"],
)
def test_a_kind_that_cannot_be_used_is_an_error_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    """At the key, beside the errors of other tables; nothing else of the daemon is touched."""
    package(tmp_path / "site", source, name="faulty", value="faulty_kind:Faulty", module="faulty_kind")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "faulty_kind", raising=False)
    problems = refused(written(tmp_path, "[providers.here]\nkind = 'faulty'\n" + PARTNER.replace("KEY", "NOT_SET")))
    assert (problems[0].line, problems[0].column) == (2, 1)
    assert said in problems[0].message
    assert len(problems) == 2


def test_a_package_that_raises_what_ctrl_c_raises_ends_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one fault like any other."""
    package(tmp_path / "site", "raise KeyboardInterrupt", name="ctrl", value="ctrl_kind:C", module="ctrl_kind")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ConfigError, match="ctrl_kind:C: KeyboardInterrupt; repair its package"):
        PROVIDERS.get("ctrl")


def test_a_package_whose_import_does_not_end_is_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has ended."""
    gate = threading.Event()
    monkeypatch.setattr(sys, "gate_of_a_package", gate, raising=False)
    source = "import sys\nassert sys.gate_of_a_package.wait(60)\n"
    package(tmp_path / "site", source + WEATHER, name="slow", value="slow_kind:Weather", module="slow_kind")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with monkeypatch.context() as limited:
        limited.setattr(plugin_run, "LIMIT_SECONDS", 0.05)
        with pytest.raises(
            ConfigError, match=r"slow_kind:Weather: its import has not ended after 0.05 s; tokend reload looks again"
        ):
            PROVIDERS.get("slow")
    gate.set()
    until(lambda: not plugin_run._runs["slow_kind"].is_alive(), "its end")
    found = PROVIDERS.get("slow")
    assert found is not None
    assert found.__name__ == "Weather"


def test_a_class_that_its_check_cannot_handle_is_a_configuration_error() -> None:
    """The family decides which methods are checked; there are three."""

    class Odd(SinkSettings):
        family = "fourth"  # type: ignore[assignment]  # this is what the check meets

        @property
        def target(self) -> str:
            return "odd"

    with pytest.raises(ConfigError, match=r'kind "odd".*is not usable'):
        SINKS.including({"odd": Odd}).get("odd")


def test_a_kind_that_two_packages_offer_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two would run would depend on the order of the disk."""
    for module in ("one_kind", "two_kind"):
        package(tmp_path / "site", WEATHER, name="twin", value=f"{module}:Weather", module=module)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    problem = only(refused(written(tmp_path, "[providers.here]\nkind = 'twin'\n")))
    assert "one_kind:Weather" in problem.message
    assert "two_kind:Weather" in problem.message


@pytest.mark.parametrize("installed", ['__version__ = "99.0"\n', None])
def test_a_kind_is_not_imported_from_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    """Upgraded or uninstalled below a running daemon: the reload is refused and says so; known kinds go on."""
    (tmp_path / "tokend").mkdir()
    if installed is not None:
        (tmp_path / "tokend" / "__init__.py").write_text(installed)
    monkeypatch.setattr(tokend, "__file__", str(tmp_path / "tokend" / "__init__.py"))
    table = PROVIDERS.including({"later": "tokend.providers.later:Later"})
    path = written(tmp_path, PARTNER + "[providers.new]\nkind = 'later'\n")
    with pytest.raises(InvalidConfigError) as raised:
        load(path, providers=table, sinks=SINKS, environ=ENVIRON)
    message = only(list(raised.value.errors)).message
    assert message.startswith("restart needed: tokend ")
    assert ("99.0 is installed" in message) == (installed is not None)


def test_a_built_in_kind_that_fails_to_import_needs_a_restart(tmp_path: Path) -> None:
    """A file of it is missing: an upgrade is under way, or was half done."""
    table = PROVIDERS.including({"later": "tokend.providers.later:Later"})
    path = written(tmp_path, "[providers.new]\nkind = 'later'\n")
    with pytest.raises(InvalidConfigError, match=r"cannot be loaded: .*ModuleNotFoundError.*restart needed"):
        load(path, providers=table, sinks=SINKS, environ=ENVIRON)


def test_a_class_is_imported_once() -> None:
    """A reload compares settings by ``==``, which needs one class."""
    table: KindTable[ProviderSettings] = KindTable(
        "tokend.providers", {"jwt": "tokend.providers.jwt:Jwt"}, provider_faults
    )
    assert table.get("jwt") is table.get("jwt") is Jwt
    assert kinds.PROVIDERS.get("no-such-kind") is None
