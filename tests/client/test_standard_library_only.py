"""`tokend.client` as programs import it: the standard library, and nothing of tokend beside itself."""

import subprocess
import sys
from pathlib import Path

import tokend
from tests.cli.running import Running, environment

ROOT = str(Path(tokend.__file__).parent.parent)


OWN = ["tokend", "tokend.client"] + [
    f"tokend.client.{name}" for name in ("calls", "errors", "leases", "tokens", "transport")
]


def isolated(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python without site-packages: only the standard library and this tree."""
    start = f"import sys; sys.path.insert(0, {ROOT!r})\n"
    argv = [sys.executable, "-I", "-S", "-c", start + program]
    return subprocess.run(argv, env=environment(**environ), capture_output=True, text=True, check=False)


def test_the_client_works_without_any_installed_package(running: Running) -> None:
    """`token("tt")` by $TOKEND_SOCKET, with nothing but the standard library."""
    done = isolated("from tokend.client import token; print(token('tt'))", TOKEND_SOCKET=str(running.socket))
    assert done.stderr == ""
    assert done.stdout == running.client.get("tt").access_token + "\n"


def test_the_client_imports_only_the_standard_library_and_itself() -> None:
    """Every module that it brings in, by name."""
    done = isolated(
        "before = set(sys.modules)\nimport tokend.client, tokend.client.tokens\n"
        "new = {name for name in set(sys.modules) - before}\n"
        "foreign = {n for n in new if n.split('.')[0] not in sys.stdlib_module_names and not n.startswith('tokend')}\n"
        "own = {name for name in new if name.startswith('tokend')}\n"
        "print(sorted(foreign), sorted(own))"
    )
    assert done.stderr == ""
    assert done.stdout.strip() == f"[] {OWN}"


def test_the_asyncio_client_works_without_any_installed_package(running: Running) -> None:
    """Of this package it imports itself and its transport in addition."""
    done = isolated(
        "import asyncio\nfrom tokend.client import AsyncTokenClient\n"
        "print(asyncio.run(AsyncTokenClient().get('tt')).access_token)\n"
        "print(sorted(name for name in sys.modules if name.startswith('tokend')))",
        TOKEND_SOCKET=str(running.socket),
    )
    modules = sorted([*OWN, "tokend.client.async_tokens", "tokend.client.async_transport"])
    modules.remove("tokend.client.tokens")
    assert (done.stdout, done.stderr) == (f"{running.client.get('tt').access_token}\n{modules}\n", "")


def test_importing_the_package_alone_costs_nothing() -> None:
    """`import tokend.client` imports on first use; every promised name is there, others are not."""
    done = isolated(
        "import tokend.client as client\nassert 'tokend.client.tokens' not in sys.modules\n"
        "assert 'typing' not in sys.modules\n"
        "for name in client.__all__: getattr(client, name)\n"
        "try: client.nonsense\nexcept AttributeError as error: print(error)"
    )
    assert (done.stdout, done.stderr) == ("module 'tokend.client' has no attribute 'nonsense'\n", "")


def test_the_files_directory_is_named_by_the_environment(running: Running) -> None:
    """$TOKEND_FILES, where the socket is away."""
    done = isolated(
        "from tokend.client import token; print(token('tt', min_ttl=60))",
        TOKEND_SOCKET="/nonexistent", TOKEND_FILES=str(running.directory),
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (running.client.get("tt").access_token + "\n", "")
