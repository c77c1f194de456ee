"""State of a load, and the validation of a table: every error of the table at its own key."""

from pathlib import Path

from tests.config.written import written
from tokend.config.config_files import read_document
from tokend.config.kind_lookup import LoadKinds
from tokend.config.loading import Loading, validate
from tokend.config.model import SocketSettings
from tokend.kinds import PROVIDERS, SINKS


def test_a_table_with_errors_has_all_of_them_and_no_settings(tmp_path: Path) -> None:
    """Each at its key."""
    loading = Loading(LoadKinds(PROVIDERS), LoadKinds(SINKS), {}, None)
    path = written(tmp_path, '[[sockets]]\npath = 1\ntokens = []\nmodee = "x"\n')
    document = read_document(path, loading.findings, loading.vocabulary, reloading=False)
    assert document is not None
    assert validate(loading, document, SocketSettings, document.values["sockets"][0], ("sockets", 0)) is None
    assert [error.line for error in loading.findings.errors] == [2, 3, 4]


def test_the_vocabulary_has_the_keys_of_all_kinds() -> None:
    """A key is public only if it is a secret in none."""
    vocabulary = Loading(LoadKinds(PROVIDERS), LoadKinds(SINKS), {}, None).vocabulary()
    assert "token_url" in vocabulary.public
    assert "api_key" in vocabulary.known - vocabulary.public
