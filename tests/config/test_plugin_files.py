"""Files of ``[daemon] plugins``: their kinds count in the load; a fault of one is one error, and no other table's."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.config.written import PARTNER, loaded, only, refused, written
from tests.test_kinds import package
from tokend.config import Config
from tokend.plugin.plugin_file import put_in_use
from tokend.values.status import PluginStatus

ACME = """
from typing import Literal

from tokend.plugin import API, FileSink, HeldSettings, Lease, Runtime, SecretField, Token


class AcmeKeys(HeldSettings):
    key: SecretField | None = None


class Acme(AcmeKeys):
    kind: Literal["acme"] = "acme"

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        raise NotImplementedError


class Card(FileSink):
    kind: Literal["card"] = "card"

    def render(self, lease: Lease) -> bytes:
        return lease.token.value.reveal_bytes()
"""
USES = "[providers.here]\nkind = 'acme'\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration with a plug-in ``acme.py`` of this source."""
    tmp_path.chmod(0o755)

    def writes(source: str, text: str = USES, listed: str = '"plugins/acme.py"') -> Path:
        written(tmp_path / "plugins", source, name="acme.py")
        return written(tmp_path, f"[daemon]\nplugins = [{listed}]\n{text}")

    return writes


def test_a_file_adds_its_kinds_to_the_configuration(write: Write, tmp_path: Path) -> None:
    """Providers and sinks; a class without a kind is a base of others. The path is anchored at the configuration."""
    path = write(ACME, USES + "[[providers.here.sinks]]\nkind = 'card'\npath = '/run/card'\n")
    config = loaded(path)
    settings = config.providers["here"].settings
    assert (settings.kind, type(settings).__name__) == ("acme", "Acme")
    assert config.providers["here"].sinks[0].kind == "card"
    file = str(tmp_path / "plugins/acme.py")
    assert config.plugins == (PluginStatus(file, None, None, ("acme",), ("card",)),)
    assert config.plugin_files == (tmp_path / "plugins/acme.py",)
    assert not (tmp_path / "plugins/__pycache__").exists()


def test_a_file_runs_once_and_its_classes_stay_equal(write: Write) -> None:
    """A reload compares settings by ``==``."""
    path = write(ACME)
    first = loaded(path)
    again = loaded(path, before=first)
    assert again == first
    assert type(loaded(path).providers["here"].settings) is type(first.providers["here"].settings)


def test_a_file_that_changed_counts_after_a_restart(write: Write) -> None:
    """Modules are not reloaded: what runs is what was read first, and the status says so."""
    first = loaded(write(ACME))
    put_in_use([type(first.providers["here"].settings)])
    changed = loaded(write(ACME + "\n# another line\n"), before=first)
    assert changed.plugins == (replace(first.plugins[0], is_changed=True),)
    assert changed.providers == first.providers


def test_a_file_that_changed_before_a_daemon_used_it_runs_again(write: Write) -> None:
    """It was only checked or planned, or the configuration was refused for another reason."""
    loaded(write(ACME))
    changed = loaded(write(ACME.replace('"acme"', '"acme-2"'), USES.replace("acme", "acme-2")))
    assert changed.providers["here"].settings.kind == "acme-2"
    assert not changed.plugins[0].is_changed


def test_a_file_that_is_listed_no_more_takes_its_kinds_along(write: Write) -> None:
    """Also for a table that did not change."""
    first = loaded(write(ACME))
    problem = only(refused(write(ACME, listed=""), before=first))
    assert problem.message.startswith("unknown kind; it is one of ")


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("import os\n\nimport not_there\n", 3, "ModuleNotFoundError: No module named 'not_there'"),
        ("class A:\n    x = = 1\n", 2, "SyntaxError: invalid syntax"),
        ("x = '\\0'\n\0", 1, ""),
        ("(" * 5000 + ")" * 5000, 1, ""),
        ("def f():\n    f()\nf()\n", 2, "RecursionError: maximum recursion depth exceeded"),
        ("import sys\nsys.exit('no licence')\n", 2, "SystemExit: no licence"),
        ("class Stop(BaseException):\n    pass\nraise Stop\n", 3, "cannot be loaded: Stop"),
        ("raise ValueError('first\\nsecond')\n", 1, "ValueError: first"),
        ("class Bad(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Bad\n", 4, "loaded: Bad"),
        ("raise ValueError('ghp_0123456789abcdefABCDEF0123456789abcd')", 1, "ValueError: (not shown)"),
        ("import os\nraise ValueError('with ' + os.environ['ACME_API_KEY'])", 2, "ValueError: with (not shown)"),
        ("API = 2\nfrom tokend.plugin import Later\n", 1, "written for API 2; this tokend has 1"),
        ("import tokend.plugin\nAPI = tokend.plugin.API + 1\n", 1, "written for API 2; this tokend has 1"),
        ("API = '1'\n", 1, "written for API '1'; this tokend has 1"),
        ("from tokend.plugin import Nothing\n", 1, "ImportError: cannot import name 'Nothing' from 'tokend.plugin'"),
        ("from . import other\n", 1, "ImportError: attempted relative import with no known parent package"),
        ("x = 1\n", 1, 'no class in it declares a kind: write kind: Literal["acme"] = "acme" in the class'),
        (ACME.replace("async def fetch", "def fetch"), 1, 'kind "acme" (Acme) is not usable: its method fetch has'),
        (ACME + "\nclass Second(Acme):\n    pass\n", 1, 'kind "acme" is declared by two classes, Acme and Second'),
        (ACME.replace('"acme"', '"jwt"'), 1, 'kind "jwt" is one of tokend\'s own, and no plug-in replaces it'),
        (ACME.replace('"card"', '"json"'), 1, 'kind "json" is one of tokend\'s own, and no plug-in replaces it'),
    ],
)  # fmt: skip
def test_a_plug_in_with_a_fault_is_one_error_at_its_line(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, line: int, said: str
) -> None:
    """No second error for the tables of its kinds; no secret; nothing that the plug-in raises ends the process."""
    monkeypatch.setenv("ACME_API_KEY", "planted-fake-words")
    problem = only(refused(write(source, USES + "[providers.there]\nkind = 'acme'\n" + PARTNER)))
    assert (problem.file, problem.line) == (str(tmp_path / "plugins/acme.py"), line)
    assert said in problem.message
    assert "second" not in problem.message
    assert problem.file not in sys.modules
    started = loaded(write(source, USES + PARTNER), starting=True)
    assert list(started.providers) == ["partner"]
    assert started.plugins[0].error == problem.message
    assert started.left_out == {"here"}


def test_a_file_that_was_corrected_is_loaded(write: Write) -> None:
    """Failures are not remembered."""
    assert len(refused(write("raise ValueError"))) == 1
    assert loaded(write(ACME)).providers["here"].settings.kind == "acme"


def test_a_sink_whose_kind_is_not_loaded_does_not_stop_its_provider_at_a_start(write: Write) -> None:
    """The token is kept fresh and served; the daemon is not ready."""
    sink = "[[providers.partner.sinks]]\nkind = 'card'\npath = '/run/card'\n"
    path = write("raise ValueError", PARTNER + sink)
    assert "ValueError" in only(refused(path)).message
    config = loaded(path, starting=True)
    assert config.providers["partner"].sinks == ()
    assert config.left_out == {"partner"}
    assert 'kind "card" is not loaded; this sink is left out' in [one.message for one in config.warnings]
    optional = loaded(write("raise ValueError", PARTNER + sink + "required = false\n"), starting=True)
    assert optional.left_out == frozenset()


def test_an_unknown_kind_is_still_an_error_where_all_plug_ins_are_loaded(write: Write) -> None:
    """It names the plug-ins' kinds, too."""
    problem = only(refused(write(ACME, "[providers.here]\nkind = 'acmee'\n")))
    assert problem.message.endswith('did you mean "acme"?')


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_a_file_that_others_may_write_is_not_run(write: Write, tmp_path: Path, mode: int) -> None:
    """Its code would run as the daemon. A group that may write is one too many, too."""
    ran = tmp_path / "ran"
    path = write(f"open({str(ran)!r}, 'w')\n" + ACME)
    plugin = tmp_path / "plugins/acme.py"
    plugin.chmod(mode)
    os.chown(plugin, -1, 12345)
    problem = only(refused(path))
    assert (problem.file, problem.line) == (str(path), 2)
    assert f"plugins: {plugin}: unsafe path: " in problem.message
    assert "may write to" in problem.message
    started = loaded(path, starting=True)
    assert (started.providers, ran.exists()) == ({}, False)
    assert [one.code for one in started.warnings if "unsafe path" in one.message] == ["unsafe_path"]


def test_a_file_in_a_directory_that_others_may_write_is_not_run(write: Write, tmp_path: Path) -> None:
    """They could put another file there; also where the file ran before."""
    path = write(ACME)
    assert loaded(path).providers
    (tmp_path / "plugins").chmod(0o777)
    assert "unsafe path: every user may write to" in only(refused(path)).message


def test_a_file_of_another_user_is_not_run(write: Write, tmp_path: Path) -> None:
    """Neither root's nor the daemon's."""
    path = write(ACME)
    os.chown(tmp_path / "plugins/acme.py", 12345, -1)
    assert "unsafe path: " in only(refused(path)).message
    assert "belongs to 12345" in only(refused(path)).message.replace("uid ", "")


def test_a_file_that_is_not_there_is_named(write: Write) -> None:
    """At the key."""
    problem = only(refused(write(ACME, listed='"plugins/acme.py", "plugins/other.py"')))
    assert problem.line == 2
    assert "plugins/other.py: this file cannot be read: No such file or directory" in problem.message


def test_a_file_is_named_once(write: Write) -> None:
    """A second time is a mistake."""
    assert "is named twice" in only(refused(write(ACME, listed='"plugins/acme.py", "plugins/acme.py"'))).message


def test_two_files_with_one_kind_are_an_error(write: Write, tmp_path: Path) -> None:
    """Which of them would count is nobody's guess."""
    written(tmp_path / "plugins", ACME, name="other.py")
    problem = only(refused(write(ACME, listed='"plugins/acme.py", "plugins/other.py"')))
    assert problem.file == str(tmp_path / "plugins/other.py")
    assert f'kind "acme" is declared twice: here and by {tmp_path}/plugins/acme.py; keep one' in problem.message


def test_a_kind_of_a_file_and_of_a_package_is_an_error(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is not imported for that."""
    package(tmp_path / "site", "raise ValueError", name="acme", value="acme_kind:Acme", module="acme_kind")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    problem = only(refused(write(ACME)))
    assert 'kind "acme" is declared twice: here and by the package of acme_kind:Acme; keep one' in problem.message


def test_a_package_whose_kind_is_used_is_named_also_after_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its version."""
    source = ACME.replace('"acme"', '"shop"').partition("class Card")[0]
    package(tmp_path / "site", source, name="shop", value="shop_kind:Acme", module="shop_kind", version="2.5")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    path = written(tmp_path, "[providers.here]\nkind = 'shop'\n")
    first = loaded(path)
    assert first.plugins == (PluginStatus(None, "shop_kind", "2.5", ("shop",), ()),)
    assert loaded(path, before=first).plugins == first.plugins


def test_a_package_that_cannot_be_imported_is_one_error_and_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many tables name its kind."""
    package(tmp_path / "site", "API = 2\n", name="late", value="late_kind:Late", module="late_kind")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    text = "[providers.here]\nkind = 'late'\n[providers.there]\nkind = 'late'\n" + PARTNER
    assert "cannot be loaded: late_kind:Late: AttributeError" in only(refused(written(tmp_path, text))).message
    (tmp_path / "site/late_kind.py").write_text("API = 2\nLate = 1\n")
    monkeypatch.delitem(sys.modules, "late_kind")
    assert "written for API 2; this tokend has 1" in only(refused(written(tmp_path, text))).message
    config: Config = loaded(written(tmp_path, text), starting=True)
    assert list(config.providers) == ["partner"]
    assert config.left_out == {"here", "there"}
