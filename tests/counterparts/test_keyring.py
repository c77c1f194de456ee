"""A real gnome-keyring on a bus of its own: what is written there, `secret-tool` reads; what that writes is a secret.

A locked one is waited for."""

import os
import subprocess
import sys
from pathlib import Path

from tests.counterparts.programs import program

ROOT = Path(__file__).parents[2]
# The library takes the bus from the environment, so that all of it runs inside dbus-run-session.
SCRIPT = """
import subprocess, sys
import anyio
from tests.sinks.played_store import runtime_of
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import Content
from tokend.sinks.stores.keyring import KeyringSink
from tokend.values.errors import SecretError, SinkError
from tokend.values.secret import Secret

PASSWORD, VALUES = b"fake-login-password", ["planted-fake-first", "planted-fake-second"]
LOOKUP = ["secret-tool", "lookup", "service", "app", "username", "token"]

def daemon(*arguments, given=None):
    argv = ["gnome-keyring-daemon", "--components=secrets", *arguments]
    subprocess.run(argv, input=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30)

async def main():
    sink = KeyringSink.model_validate({"kind": "keyring", "service": "app", "username": "token"})
    runtime = runtime_of(sink)
    assert await sink.inspect(runtime) == runtime.mark(None)
    for generation, value in enumerate(VALUES, 7):
        mark = await sink.put(runtime, Content(Secret(value), generation, None), None)
        assert await sink.inspect(runtime) == mark
        assert subprocess.run(LOOKUP, capture_output=True, timeout=30).stdout.decode() == value
    store = ["secret-tool", "store", "--label=api", "service", "https://api.example", "username", "me"]
    subprocess.run(store, input=b"planted-fake-secret", check=True, timeout=30)
    secret = SecretSource(keyring="https://api.example/me")
    assert read_secret(secret).reveal() == "planted-fake-secret"
    import secretstorage
    connection = secretstorage.dbus_init()
    secretstorage.get_collection_by_alias(connection, "default").lock()
    for call in (sink.inspect(runtime), sink.remove(runtime, None)):
        try:
            await call
        except SinkError as error:
            assert "waits for the keyring to be unlocked" in error.detail, error.detail
        else:
            raise AssertionError("a locked keyring was used")
    try:
        read_secret(secret)
    except SecretError as error:
        assert "waits for the keyring to be unlocked" in error.detail, error.detail
    else:
        raise AssertionError("a locked keyring was read")
    connection.close()
    daemon("--unlock", "--replace", "--daemonize", given=PASSWORD)
    with anyio.fail_after(30):
        while True:  # the new daemon takes its name on the bus a moment later
            try:
                found = await sink.inspect(runtime)
                break
            except SinkError:
                await anyio.sleep(0.05)
    assert found == mark
    await sink.remove(runtime, mark)
    assert await sink.inspect(runtime) == runtime.mark(None)
    assert subprocess.run(LOOKUP, capture_output=True, timeout=30).returncode == 1
    print("done")

daemon("--unlock", "--daemonize", given=PASSWORD)
anyio.run(main)
"""
WITHOUT_BUS = """
import anyio
from tests.sinks.played_store import runtime_of
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.sinks.stores.keyring import KeyringSink
from tokend.values.errors import SecretError, SinkUnavailableError

async def main():
    sink = KeyringSink.model_validate({"kind": "keyring", "service": "app", "username": "token"})
    try:
        await sink.inspect(runtime_of(sink))
    except SinkUnavailableError as error:
        assert "is this a desktop session" in error.detail, error.detail
        print("done")

try:
    read_secret(SecretSource(keyring="app/token"))
except SecretError as error:
    assert "is this a desktop session" in error.detail, error.detail
    anyio.run(main)
"""


def test_an_item_is_written_found_by_others_waited_for_and_removed(tmp_path: Path) -> None:
    """One life of an item. No prompt appears: there is no display here, and none would be answered."""
    session = program("dbus-run-session", package="apt-get install dbus")
    program("gnome-keyring-daemon", package="apt-get install gnome-keyring")
    program("secret-tool", package="apt-get install libsecret-tools")
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [session, "--", sys.executable, "-c", SCRIPT], cwd=ROOT, env=own, capture_output=True, text=True, timeout=100
    )
    # gnome-keyring-daemon may print where it listens.
    assert "done" in done.stdout.splitlines(), done.stdout + done.stderr


def test_without_a_bus_there_is_no_keyring(tmp_path: Path) -> None:
    """The message says what is missing. In a process of its own: other tests play a keyring in theirs."""
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    own["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={tmp_path}/nobody"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_BUS], cwd=ROOT, env=own, capture_output=True, text=True, timeout=100
    )
    assert done.stdout == "done\n", done.stdout + done.stderr
