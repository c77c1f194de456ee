"""The loopback port of the real daemon, as programs use it that know no Unix socket."""

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

from tests.daemon.harness import PATIENCE_SECONDS, Home, Response, loopback_address, until
from tests.daemon.tables import DAEMON, PARTNER

SECRET = "obviously-fake-loopback-secret"


def listening(listen: str) -> str:
    return DAEMON + f'listen = "{listen}"\nlisten_secret = {{ file = "s/listen" }}\n'


def get(listen: str, target: str, authorization: str | None = None) -> Response:
    connection = http.client.HTTPConnection(listen, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", target, headers={} if authorization is None else {"Authorization": authorization})
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def test_a_client_with_an_address_and_a_token_file_gets_the_token(home: Home) -> None:
    """As the SDKs of AWS do it: two variables, the file read again each time, its content sent as it is."""
    listen = loopback_address()
    home.secret("listen", SECRET)
    home.write(PARTNER, daemon=listening(listen))
    daemon = home.start().settled()
    environ = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{listen}/v1/tokens/partner",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(home.path / "s" / "listen"),
    }

    def credentials() -> Response:
        uri = urlsplit(environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
        secret = Path(environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text().strip()
        return get(uri.netloc, uri.path, secret)

    assert credentials().json["access_token"] == daemon.lease("partner")["access_token"]
    assert get(listen, "/v1/tokens/partner").status == 401
    assert b"tokend_token_valid" in get(listen, "/metrics", f"Bearer {SECRET}").body
    home.secret("listen", "another-fake-secret-of-32-bytes.")
    assert credentials().status == 200
    assert get(listen, "/v1/tokens/partner", SECRET).status == 401
    assert daemon.end() == 0
    assert SECRET not in home.log.read_text()
    assert "another-fake-secret-of-32-bytes." not in home.log.read_text()


def test_it_is_off_by_default_and_a_change_needs_a_restart(home: Home) -> None:
    """The log says so; a change of the secret's place counts at once."""
    listen = loopback_address()
    home.secret("listen", SECRET)
    home.secret("other", "another-fake-secret-of-32-bytes.")
    home.write(PARTNER, daemon=listening(listen))
    daemon = home.start().settled()
    home.write(PARTNER, daemon=listening(listen).replace("s/listen", "s/other"))
    until(
        lambda: get(listen, "/v1/tokens/partner", "another-fake-secret-of-32-bytes.").status == 200, "the other secret"
    )
    assert not daemon.log("config.restart_needed")
    assert get(listen, "/v1/tokens/partner", SECRET).status == 401
    home.write(PARTNER)
    [line] = until(lambda: daemon.log("config.restart_needed"), "the warning")
    assert "restart needed for listen" in line
    assert get(listen, "/v1/tokens/partner", "another-fake-secret-of-32-bytes.").status == 401
    daemon.end()
    home.start().settled()
    host, _, port = listen.partition(":")
    with socket.socket() as nobody:
        assert nobody.connect_ex((host, int(port))) != 0


def test_a_health_check_needs_no_secret(home: Home) -> None:
    """Over the port as over the socket."""
    listen = loopback_address()
    home.secret("listen", SECRET)
    home.write(PARTNER, daemon=listening(listen))
    home.start().settled()
    until(lambda: get(listen, "/readyz").status == 200, "readyz over TCP")
    assert json.loads(get(listen, "/livez").body) == {"live": True}
