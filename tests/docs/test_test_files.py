"""Names of test files: `ls tests` finds the tests of a module, and the module of a test file."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "tokend"
TESTS = ROOT / "tests"

# Modules without a test file of their own, each with the reason.
TESTED_ELSEWHERE = {
    "__main__": "every test in tests/cli starts it",
    "cli/demo/config": "tests/cli/test_demo.py runs the demonstration as a whole",
    "cli/demo/login_scenes": "tests/cli/test_demo.py runs the demonstration as a whole",
    "cli/demo/scenes": "tests/cli/test_demo.py runs the demonstration as a whole",
    "cli/demo/stage": "tests/cli/test_demo.py runs the demonstration as a whole",
    "cli/doctor/finding": "a dataclass",
    "cli/run_help": "declares the options of `run`: tests/cli/test_run.py",
    "client/loopback": "tests/values/test_url_loopback.py holds it and its two counterparts to one table",
    "engine/context/context": "a dataclass",
    "engine/context/contract": "protocols",
    "plugin/declared/store_answers": "tests/sinks/stores/test_http.py: each answer, through the sink",
    "plugin/declared/store_settings": "tests/sinks/stores/test_http.py: the sink has nothing of its own",
    "plugin/provider": "protocols: tests/providers/test_provider_contract.py",
    "plugin/sink": "protocols and values: tests/sinks/test_sink_contract.py, tests/sinks/test_remote_sink_contract.py",
    "providers/oauth2/endpoints": "a dataclass",
    "providers/oauth2/words": "tables of words",
    "sandbox/__main__": "tests/sandbox/test_command.py starts it",
    "sandbox/guide": "text: tests/sandbox/test_control.py reads it",
    "sandbox/vendors/vendor": "a protocol",
    "values/errors": "classes without logic",
    "values/status": "values without logic",
}
# Test files beside those of modules that are about no single module, each with the reason.
ABOUT_SEVERAL_MODULES = {
    "cli/test_socket_discovery": "every command that finds the socket",
    "client/test_adapters": "one suite for all HTTP libraries",
    "client/test_standard_library_only": "imports of the whole package",
    "daemon/test_declared_store": "kind http in a whole daemon",
    "daemon/test_declared_token": "kind http of providers in a whole daemon",
    "daemon/test_oauth2": "kind oauth2 in a whole daemon",
    "daemon/test_own_vendor": "a vendor's file in a whole daemon",
    "daemon/test_remote_sink": "a remote sink in a whole daemon",
    "providers/http/test_kinds_as_tables": "what kinds and their tables of kind http send to a server",
    "providers/http/test_seed_tables": "kinds of their own as tables of kind http",
    "providers/test_provider_contract": "one suite for all kinds of providers",
    "sinks/test_remote_sink_contract": "one suite for all kinds of remote sinks",
    "sinks/test_sink_contract": "one suite for all kinds of file sinks",
    "vendors/test_kraken_signature": "a vendor is data, not a module",
    "vendors/test_proofs": "vendors are data, not modules",
    "test_import_contracts": "the import contracts of pyproject.toml",
    "test_new_kinds": "what a new kind must bring",
}


def modules() -> list[str]:
    """Every module but the packages' own, without ``tokend/`` and ``.py``."""
    paths = [path.relative_to(MODULES) for path in sorted(MODULES.rglob("*.py")) if path.stem != "__init__"]
    return [path.with_suffix("").as_posix() for path in paths]


def files_beside_modules() -> list[str]:
    """The test files in folders that mirror tokend's, without ``tests/`` and ``.py``."""
    rooms = {path.name for path in MODULES.iterdir() if path.is_dir()}
    paths = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py"))]
    return [path.with_suffix("").as_posix() for path in paths if path.parts[0] in rooms or len(path.parts) == 1]


def named_for(module: str) -> list[str]:
    """Return the test files that are named for a module: ``test_NAME`` and ``test_NAME_…`` at the module's place."""
    folder, _, name = module.rpartition("/")
    wanted = f"{folder}/test_{name}" if folder else f"test_{name}"
    return [one for one in files_beside_modules() if one == wanted or one.startswith(f"{wanted}_")]


def module_of(test_file: str) -> str | None:
    """Return the module, or the package without a file of its own, that a test file is named for."""
    folder, _, name = test_file.rpartition("/")
    words = name.removeprefix("test_").split("_")
    for count in range(len(words), 0, -1):
        path = MODULES / folder / "_".join(words[:count])
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return path.relative_to(MODULES).as_posix()
    return None


@pytest.mark.parametrize("module", [one for one in modules() if one not in TESTED_ELSEWHERE])
def test_a_module_has_a_test_file(module: str) -> None:
    """The test file stands at the same place below tests/."""
    folder, _, name = module.rpartition("/")
    place = "/".join(filter(None, ("tests", folder, f"test_{name}.py")))
    assert named_for(module), (
        f"tokend/{module}.py has no test file: add {place}, or, if its tests cannot stand there, "
        f"a line with the reason to TESTED_ELSEWHERE in {Path(__file__).relative_to(ROOT)}"
    )


@pytest.mark.parametrize("test_file", [one for one in files_beside_modules() if one not in ABOUT_SEVERAL_MODULES])
def test_a_test_file_is_named_for_a_module(test_file: str) -> None:
    """Cross-cutting suites stand in folders of their own, such as tests/behaviour."""
    assert module_of(test_file) is not None, (
        f"tests/{test_file}.py is named for no module of tokend: rename it, move it to tests/behaviour, "
        f"or add a line with the reason to ABOUT_SEVERAL_MODULES in {Path(__file__).relative_to(ROOT)}"
    )


def test_the_exceptions_are_needed() -> None:
    """A line that is not needed any more goes."""
    for module in TESTED_ELSEWHERE:
        assert (MODULES / f"{module}.py").exists(), f"{module} is gone"
        assert not named_for(module), f"{module} has a test file"
    for test_file in ABOUT_SEVERAL_MODULES:
        assert (TESTS / f"{test_file}.py").exists(), f"{test_file} is gone"
        assert module_of(test_file) is None, f"{test_file} is named for a module"
