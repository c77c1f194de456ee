"""Tables of vaults: read before what names them, checked where they are used, and never asked."""

from pathlib import Path

import pytest

from tests.config.written import CA_PEM, PARTNER, WALLET, loaded, only, refused, written
from tokend.config import Config
from tokend.plugin.vault_settings import VaultSettings
from tokend.sinks.stores.vault import VaultSink

BAO = '[vaults.bao]\naddress = "https://127.0.0.1:1"\nauth = { file = "./vault.token" }\n'
FILE = '{ file = "./vault.token" }'
THERE = '{ vault = "bao", path = "tt", field = "api_key" }'
READING = PARTNER.replace('{ env = "KEY" }', THERE)
STORED = '[[providers.partner.sinks]]\nkind = "vault"\nvault = "bao"\npath = "out"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    written(tmp_path, "fake-vault-token\n", name="vault.token")
    return tmp_path


def settings_of(config: Config) -> VaultSettings:
    named = config.providers["partner"].settings.secrets()["secret"].vault
    assert named is not None
    assert named.settings is not None
    return named.settings


def test_a_secret_names_a_table_and_no_server_is_asked(directory: Path) -> None:
    """Its path is relative to its own file, which may be an included one. Its files are watched for its readers."""
    written(directory, BAO.replace("./vault.token", "../vault.token"), name="more/vaults.toml")
    config = loaded(written(directory, 'include = ["more/*.toml"]\n' + READING))
    assert settings_of(config).address == "https://127.0.0.1:1"
    assert config.warnings == ()
    assert [path.resolve() for path in config.secret_files] == [directory / "vault.token"]


def test_a_sink_may_name_the_table_instead_of_a_server(directory: Path) -> None:
    """All that the table says holds for the sink."""
    written(directory, CA_PEM, name="ca.pem")
    more = BAO + 'namespace = "team"\nca_file = "./ca.pem"\n'
    config = loaded(written(directory, more + PARTNER + STORED))
    [sink] = config.providers["partner"].sinks
    assert isinstance(sink, VaultSink)
    assert (sink.address, sink.namespace, sink.vault) == ("https://127.0.0.1:1", "team", "bao")
    assert (sink.ca_file, sink.kv_version) == (directory / "ca.pem", 2)
    assert sink.secrets()["auth"].file == directory / "vault.token"
    again = loaded(written(directory, more.replace("team", "desk") + PARTNER + STORED), before=config)
    assert again.providers["partner"].sinks[0] != sink


def test_a_changed_table_changes_its_readers(directory: Path) -> None:
    """A reload takes over what is unchanged."""
    before = loaded(written(directory, BAO + READING))
    same = loaded(directory / "config.toml", before=before)
    assert same.providers["partner"] is before.providers["partner"]
    changed = loaded(written(directory, BAO.replace(":1", ":2") + READING), before=before)
    assert changed.providers["partner"] != before.providers["partner"]
    assert settings_of(changed).address == "https://127.0.0.1:2"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (BAO + READING.replace('"bao"', '"boa"'), (6, 12), 'no table [vaults.NAME] of this name; did you mean "bao"?'),
        (READING, (3, 12), "vault: there is no table [vaults.NAME] of this name"),
        (BAO + PARTNER + STORED.replace('"bao"', '"boa"'), (9, 1), 'of this name; did you mean "bao"?'),
        (BAO + PARTNER + STORED + 'address = "https://a.example"\n', (11, 1), "vault names a table that says address"),
        (BAO + READING.replace(', path = "tt"', ""), (6, 1), "vault needs path, and field"),
        (PARTNER.replace("{ env", '{ path = "a", env'), (3, 12), "path: path stands beside vault only"),
        (BAO + 'token = "x"\n' + READING, (4, 1), 'unknown key "token"; known are address, auth, ca_file'),
        (BAO.replace("https://127.0.0.1:1", "http://a.example") + READING, (2, 1), "address: "),
        ("vaults = 5\n" + PARTNER, (1, 1), "vaults are tables: [vaults.NAME]"),
        ("[vaults]\nbao = 5\n" + PARTNER, (2, 1), "a vault is a table: [vaults.bao]"),
        (BAO.replace("bao", "Bao") + PARTNER, (1, 1), "this is no name"),
        (BAO.replace(FILE, THERE) + PARTNER, (3, 1), "auth: the credential of a vault stands in no vault"),
        (BAO.replace(FILE, '{ token = "nobody" }') + PARTNER, (3, 10), "there is no provider of this name"),
        ('[daemon]\nstate_key = ' + THERE + "\n" + BAO + PARTNER, (2, 1), "it is read before all else"),
        (BAO.replace("vault.token", "no.token") + READING, (3, 1), "auth: file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_error_at_its_place(
    directory: Path, text: str, place: tuple[int, int], message: str
) -> None:
    """One error for one fault: what names a faulty table has none of its own."""
    problem = only(refused(written(directory, text)))
    assert message in problem.message
    assert (problem.line, problem.column) == place


def test_a_table_in_two_files_is_an_error(directory: Path) -> None:
    """As of a provider."""
    written(directory, BAO, name="more.toml")
    problem = only(refused(written(directory, 'include = ["more.toml"]\n' + BAO + PARTNER)))
    assert 'vault "bao" is defined twice; first at' in problem.message
    assert problem.file.endswith("more.toml")


def test_a_table_that_nobody_uses_is_no_error(directory: Path) -> None:
    """Its credential is not looked at either."""
    assert loaded(written(directory, BAO.replace("vault.token", "no.token") + PARTNER)).warnings == ()


@pytest.mark.parametrize("text", [READING, PARTNER + STORED])
def test_an_unsafe_file_with_a_vault_stops_its_readers_at_a_start(directory: Path, text: str) -> None:
    """Somebody else could name a server of his own, which would get the credential."""
    written(directory, BAO, name="more.toml", mode=0o602)
    config = loaded(written(directory, 'include = ["more.toml"]\n' + text + WALLET), starting=True)
    assert "this file is at an unsafe path" in (config.providers["partner"].unsafe or "")
    assert config.providers["partner"].sinks == ()
    assert config.providers["wallet"].unsafe is None


def test_a_circle_through_a_vault_is_an_error(directory: Path) -> None:
    """The login at the vault cannot begin with a secret that is there."""
    bao = BAO.replace(FILE, '{ token = "partner" }')
    problem = only(refused(written(directory, bao + READING)))
    assert problem.message == "partner would need its own token to get it: name another provider"
    assert (problem.line, problem.column) == (6, 12)


def test_a_place_that_may_be_a_secret_is_not_shown(directory: Path) -> None:
    """People write the secret itself where the name of its table belongs."""
    for written_there in ("hvs.PLANTED", "ghp_PLANTED"):
        problem = only(refused(written(directory, BAO + READING.replace('"bao"', f'"{written_there}"'))))
        assert "PLANTED" not in str(problem)


def test_a_login_file_s_key_waits_for_no_server(directory: Path) -> None:
    """The file is read with it, in a thread."""
    text = (
        '[providers.login]\nkind = "oauth2"\ngrant = "refresh_token"\ntoken_url = "https://a.example/token"\n'
        f'client_id = "a"\nclient_auth = "none"\nlogin_file = "./login"\nlogin_file_key = {THERE}\n'
    )
    problem = only(refused(written(directory, BAO + text)))
    assert "login_file_key: it is read with its file" in problem.message
