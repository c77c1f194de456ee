"""`tokend version`."""

from pathlib import Path

from tests.cli.running import tokend
from tests.config.written import written
from tests.docs.pages import ROOT
from tests.docs.test_config_example import PLUGIN
from tests.test_kinds import package
from tokend import __version__


def test_version_prints_the_version() -> None:
    """`tokend version`, and the option that people try first."""
    assert tokend("version").out == f"tokend {__version__}\n"
    assert tokend("--version").out == f"tokend {__version__}\n"


def test_version_names_the_plug_ins_of_the_configuration(tmp_path: Path) -> None:
    """The files that it loads, with the error of one that cannot be loaded; nothing without a configuration."""
    written(tmp_path, PLUGIN, name="acme.py")
    written(tmp_path, "raise ValueError", name="other.py")
    config = written(tmp_path, '[daemon]\nplugins = ["acme.py", "other.py"]\n')
    assert tokend("version", "--config", str(config)).out.splitlines() == [
        f"tokend {__version__}",
        f"plug-in {tmp_path}/acme.py: acme",
        f"plug-in {tmp_path}/other.py: not loaded: this plug-in cannot be loaded: ValueError",
    ]
    assert tokend("version", "--config", f"{tmp_path}/none.toml").out == f"tokend {__version__}\n"
    wrong = written(tmp_path, "plugins = 1\n", name="wrong.toml")
    assert tokend("version", "--config", str(wrong)).out == f"tokend {__version__}\n"


def test_version_names_an_installed_package_and_whether_it_is_used(tmp_path: Path) -> None:
    """Without an import of one that is not."""
    package(tmp_path / "site", PLUGIN, name="acme", value="acme_kind:Acme", module="acme_kind", version="2.5")
    path = f"{tmp_path}/site:{ROOT}"
    used = written(tmp_path, "[providers.here]\nkind = 'acme'\n")
    assert tokend("version", "--config", str(used), PYTHONPATH=path).out.splitlines()[1:] == [
        "plug-in acme_kind 2.5: acme"
    ]
    unused = written(tmp_path, "[daemon]\n")
    assert tokend("version", "--config", str(unused), PYTHONPATH=path).out.splitlines()[1:] == [
        "plug-in acme_kind 2.5 (not in use): acme"
    ]
