"""LoadCredential= in both directions, under a real systemd."""

from tests.systemd.conftest import Inside


def test_its_own_secrets_come_as_credentials_also_encrypted(inside: Inside) -> None:
    """`{ credential = }`; a changed one counts after a restart, which makes no new login for the others."""
    inside("credentials-in")


def test_other_units_get_tokens_as_credentials_if_they_may(inside: Inside) -> None:
    """Allowed, denied (243/CREDENTIALS), waiting; the name that systemd connects from is believed of root alone."""
    inside("credentials-out")
