"""A secret that cannot be read concerns its own provider: the daemon starts, and everything else is served."""

import pytest

from tests.daemon import tables
from tests.daemon.harness import Home, until
from tests.daemon.tables import SECRETS

# With "./": only such paths are shown in messages.
PX, TT, PARTNER, WALLET, LINKS = (
    one.replace('"s/', '"./s/') for one in (tables.PX, tables.TT, tables.PARTNER, tables.WALLET, tables.LINKS)
)
LITERAL = PARTNER.replace("providers.partner", "providers.well").replace("out/partner.jwt", "out/well.jwt")
WELL = LITERAL.replace('{{ file = "./s/partner" }}', '{{ file = "./s/well" }}')


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("missing", '{{ file = "./s/later" }}'),
        ("in a directory that is not there", '{{ file = "mnt/later" }}'),
        ("empty", '{{ file = "./s/empty" }}'),
        ("undecodable", '{{ file = "./s/partner", encoding = "hex" }}'),
        ("a directory", '{{ file = "s" }}'),
        ("an environment variable that is not set", '{{ env = "OBVIOUSLY_NOT_SET" }}'),
        ("a credential without its directory", '{{ credential = "partner" }}'),
        ("a command that cannot be run", '{{ command = ["/obviously/not/there"] }}'),
    ],
)
def test_a_start_goes_on_without_the_provider_whose_secret_cannot_be_read(home: Home, what: str, how: str) -> None:
    """Its row says why, in a class of its own; the other provider's token is there. `check` and a reload refuse."""
    home.secret("well", SECRETS["partner"])
    home.save(home.path / "s" / "empty", "")
    daemon = home.start(PARTNER.replace('{{ file = "./s/partner" }}', how), WELL)
    until(lambda: daemon.row("partner").get("last_error"), "the error")
    row = daemon.row("partner")
    assert (row["state"], row["valid"], row["last_error"]["class"]) == ("pending", False, "config"), what
    until(lambda: daemon.lease("well")["access_token"] == home.out("well.jwt").read_text(), "the other token")
    assert daemon.get("/readyz").status == 503
    checked = home.run("check", str(home.config))
    refused = home.run("reload")
    if "command" in how:  # never run by `check`
        assert (checked.returncode, refused.returncode) == (0, 0)
        return
    assert [one["code"] for one in row["warnings"]] == ["secret_unreadable"]
    assert row["warnings"][0]["message"].startswith("secret: ")
    # A credential belongs to the unit: in a shell it is a note of `check`.
    assert (checked.returncode, refused.returncode) == (0 if "credential" in how else 2, 2)
    assert row["warnings"][0]["message"] in checked.stderr or "is a credential of the unit" in checked.stderr
    assert len([line for line in daemon.log("config.warning") if "code=secret_unreadable" in line]) == 1


def test_a_token_of_the_state_is_served_and_shown_as_failing_until_the_secret_is_there(home: Home) -> None:
    """A late mount: the token is valid for hours. When the file appears nothing is asked for: nothing is due."""
    home.start(PX, TT).settled().end()
    count, token = home.requests("projectx"), home.out("bot.env").read_text()
    (home.path / "s" / "px-key").rename(home.path / "s" / "away")
    daemon = home.start()
    row = until(lambda: daemon.row("px") if daemon.row("px").get("last_error") else None, "the error")
    assert (row["state"], row["valid"], row["last_error"]["class"]) == ("failing", True, "config")
    assert f"file {home.path}/s/px-key cannot be read: No such file" in row["last_error"]["detail"]
    assert "px (projectx): failing" in home.run("status", "px").stdout
    assert daemon.lease("px")["access_token"] in token
    until(lambda: [note for note in daemon.notes if "1 failing: px" in note], "STATUS= that says so")
    until(lambda: daemon.get("/readyz").status == 200, "readiness")  # every token is valid and in its sinks
    (home.path / "s" / "away").rename(home.path / "s" / "px-key")
    until(lambda: daemon.row("px")["state"] == "valid", "the secret", seconds=10)
    assert daemon.row("px")["last_error"] is None
    until(lambda: "secret_unreadable" not in str(daemon.row("px")["warnings"]), "the end of the warning")
    assert home.requests("projectx") == count


@pytest.mark.parametrize("place", ["s/px-key", "mnt/deep/px-key"])
def test_a_provider_begins_when_its_secret_file_appears(home: Home, place: str) -> None:
    """Also in a directory that was not there at the start. Nothing was sent before."""
    (home.path / "s" / "px-key").unlink()
    daemon = home.start(PX.replace("./s/px-key", f"./{place}"), PARTNER)
    until(lambda: daemon.row("px").get("last_error"), "the error")
    assert home.requests("projectx") == 0
    path = home.path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    home.save(path, SECRETS["px-key"])
    until(lambda: daemon.row("px")["state"] == "valid", "the login", seconds=15)
    assert home.requests("projectx") == 1
    assert daemon.settled().row("px")["last_error"] is None


def test_an_on_demand_kind_is_there_and_says_why_it_cannot_issue(home: Home) -> None:
    """Its warning says so before anybody asks. It issues as soon as the file is there."""
    (home.path / "s" / "wallet-key").unlink()
    (home.path / "s" / "xerve").unlink()
    daemon = home.start(WALLET, LINKS, PARTNER).settled()
    for name in ("wallet", "links"):
        assert "secret_unreadable" in [one["code"] for one in daemon.row(name)["warnings"]]
        assert daemon.row(name)["state"] == "on_demand"
    parameters = {"url": "/api/v1/obviously/fake"}
    answer = daemon.ask("POST", "/v1/tokens/wallet/issue", parameters)
    assert answer.status == 503 and "wallet-key cannot be read" in answer.json["detail"]
    home.secret("wallet-key", SECRETS["wallet-key"])
    until(lambda: daemon.ask("POST", "/v1/tokens/wallet/issue", parameters).status == 201, "a token")
    until(lambda: "secret_unreadable" not in str(daemon.row("wallet")["warnings"]), "the end of the warning")


def test_a_secret_that_vanishes_is_a_warning_in_log_and_status_at_once(home: Home) -> None:
    """The token stays valid. The warning goes when the file is back."""
    daemon = home.start(PX, PARTNER).settled()
    path = home.path / "s" / "px-key"
    path.rename(path.with_name("away"))
    [warning] = until(
        lambda: [one for one in daemon.row("px")["warnings"] if one["code"] == "secret_unreadable"], "it", seconds=5
    )
    assert warning["message"] == f"api_key: file {path} cannot be read: No such file or directory"
    assert len([line for line in daemon.log("secret.warning") if "token=px" in line and str(path) in line]) == 1
    assert (daemon.row("px")["state"], daemon.lease("px")["generation"]) == ("valid", daemon.row("px")["generation"])
    path.with_name("away").rename(path)
    until(lambda: not [one for one in daemon.row("px")["warnings"] if one["code"] == "secret_unreadable"], "the end")
    assert home.requests("projectx") == 1


def test_a_secret_that_becomes_odd_is_a_warning_too(home: Home) -> None:
    """An editor's newline, a chmod at the next change: the same warnings as at a check."""
    daemon = home.start(PARTNER).settled()
    path = home.path / "s" / "partner"
    path.write_text(f'"{SECRETS["partner"]}"\n\n')
    path.chmod(0o644)
    codes = {"secret_format", "secret_exposed"}
    until(lambda: codes <= {one["code"] for one in daemon.row("partner")["warnings"]}, "the warnings")
    told = " ".join(one["message"] for one in daemon.row("partner")["warnings"])
    assert f"secret: file {path} ends in more than one newline, stands in quotes; it is used as it is" in told
    assert f"secret: every user may read file {path} (mode 0644): chmod o-r {path}" in told
    assert SECRETS["partner"] not in told + home.log.read_text()
    home.secret("partner", SECRETS["partner"])
    until(lambda: not codes & {one["code"] for one in daemon.row("partner")["warnings"]}, "their end")


def test_errors_of_the_text_still_end_a_start(home: Home) -> None:
    """With 78 under systemd, also beside a secret that cannot be read."""
    (home.path / "s" / "px-key").unlink()
    daemon = home.start(PX.replace("api_key", "apikey"), PARTNER, ready=False)
    assert daemon.process.wait(20) == 78
    assert "unknown key" in home.log.read_text()


@pytest.mark.parametrize(("required", "code"), [(True, 7), (False, 0)])
def test_a_single_run_brings_what_it_can(home: Home, required: bool, code: int) -> None:
    """`run --once`: 7 only where a required token is missing; the others are in their sinks in either case."""
    (home.path / "s" / "px-key").unlink()
    table = PX if required else PX.replace('kind = "projectx"', 'kind = "projectx"\nrequired = false')
    home.write(table, PARTNER)
    done = home.run("run", "--once", "--wait", "3s", "--config", str(home.config))
    assert done.returncode == code, done.stderr
    assert home.out("partner.jwt").read_text().count(".") == 2


def test_a_certificate_authority_that_is_not_there_concerns_its_provider(home: Home) -> None:
    """A file for TLS is like a secret: a warning at a start, an error of `check`; its provider says why."""
    daemon = home.start(PX.replace("username", 'ca_file = "mnt/ca.pem"\nusername'), PARTNER)
    until(lambda: daemon.row("px").get("last_error"), "the error")
    assert "ca_file" in daemon.row("px")["last_error"]["detail"]
    assert [one["code"] for one in daemon.row("px")["warnings"]].count("file_unusable") == 1
    until(lambda: daemon.lease("partner"), "the other token")
    assert home.run("check", str(home.config)).returncode == 2


def test_a_credential_that_appears_is_noticed(home: Home) -> None:
    """systemd may refresh credentials while the service runs: they are watched like files."""
    directory = home.path / "credentials"
    directory.mkdir()
    daemon = home.start(
        PARTNER.replace('{{ file = "./s/partner" }}', '{{ credential = "partner" }}'),
        CREDENTIALS_DIRECTORY=str(directory),
    )
    until(lambda: daemon.row("partner").get("last_error"), "the error")
    home.save(directory / "partner", SECRETS["partner"])
    until(lambda: daemon.row("partner")["state"] == "valid", "the token", seconds=15)
