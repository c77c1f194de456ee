"""Problems with the secrets of a table, each at its place in the file: what `secret_checks` finds, and literals.

Blocks: each secret is read once.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from tokend.config.config_files import PlacedSettings
from tokend.config.fields import Visibility, secret_fields, secret_tables
from tokend.config.findings import Findings
from tokend.config.secret_checks import OF_KIND, Finding, findings_of, inspect_all, of_command, of_secrets
from tokend.plugin.field_roles import fields_that_may_be_absent, fields_without_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.values.secret import Secret

# A shorter secret of the loopback port could be guessed.
LEAST_LISTEN_SECRET_BYTES = 32
ELSEWHERE = "use { file = }, { env = }, { credential = } or { command = }"


def check_secrets(table: PlacedSettings, environ: Mapping[str, str], findings: Findings) -> None:
    """Read every secret of a provider or a sink once, except commands, and inspect them and the files for TLS.

    An unreadable secret is an error only if the settings need it (`missing_secrets`). At a start it is a warning: the
    provider or the sink fails until it can be read. Add the kind's own warnings.
    """
    settings: ProviderSettings | SinkSettings = table.settings
    for finding in findings_of(settings, environ):
        report(table, finding, findings)
    report_literals(table, settings.secrets(), fields_without_secret(type(settings)), findings)
    _check_proxy(table, findings)


def check_listen_secret(daemon: PlacedSettings, environ: Mapping[str, str], findings: Findings) -> None:
    """Read ``listen_secret``, the one secret of ``[daemon]``; report an error if it is unreadable or short.

    Every user of the machine may connect to the port, and guess. At a start it is a warning: the port stays closed.
    """
    source: SecretSource | None = daemon.settings.listen_secret
    if source is not None:
        sources = {"listen_secret": source}
        inspected = inspect_all(sources, environ)
        for finding in of_secrets(inspected, frozenset(sources)):
            report(daemon, finding, findings)
        report_literals(daemon, sources, frozenset(), findings)
        for secret in (one.secret for one in inspected.values() if one.secret is not None):
            if (length := len(secret.reveal_bytes())) < LEAST_LISTEN_SECRET_BYTES:
                message = (
                    f"listen_secret: it has {length} bytes, and at least {LEAST_LISTEN_SECRET_BYTES} are needed: "
                    "every user of this machine can connect and guess. openssl rand -hex 32 makes one"
                )
                path = (*daemon.path, "listen_secret")
                findings.of_this_machine(daemon.document.problem(path, message, visibility=Visibility.PLACES))


def check_notify(daemon: PlacedSettings, findings: Findings) -> None:
    """Report an error if somebody else could change the program of ``notify``."""
    for finding in of_command("notify", daemon.settings.notify):
        report(daemon, finding, findings)


def check_secrets_of_invalid(
    model: type[ProviderSettings | SinkSettings],
    values: Mapping[str, Any],
    place: PlacedSettings,
    environ: Mapping[str, str],
    findings: Findings,
    vaults: Mapping[str, object],
) -> None:
    """Check the secrets of a table that has other errors, so that all errors are reported at once.

    Secrets whose own table is invalid are skipped: their errors are reported already.
    """
    written = {key: values.get(key) for key in secret_fields(model)}
    for key in secret_tables(model):
        table = values.get(key)
        written |= {f"{key}.{name}": value for name, value in table.items()} if isinstance(table, dict) else {}
    context = {"directory": str(place.document.path.parent), "vaults": vaults}
    sources = {key: source for key, value in written.items() if (source := _source(value, context)) is not None}
    # An optional secret may replace the others: only valid settings can say which secrets are missing.
    missing = frozenset() if fields_that_may_be_absent(model) & values.keys() else frozenset(sources)
    harmless = fields_without_secret(model)
    for finding in of_secrets(inspect_all(sources, environ, harmless), missing):
        report(place, finding, findings)
    report_literals(place, sources, harmless, findings)


def _source(value: object, context: Mapping[str, Any]) -> SecretSource | None:
    """Return the place of a secret as it is written; None if it is none, or has an error of its own."""
    if isinstance(value, str):
        return SecretSource(literal=Secret(value))
    try:
        return SecretSource.model_validate(value, context=context) if isinstance(value, dict) else None
    except ValidationError:
        return None


def report(place: PlacedSettings, finding: Finding, findings: Findings) -> None:
    """Add a finding about a key of the table at ``place``, as an error, a warning or a note."""
    path = place.path if finding.key is None else (*place.path, *finding.key.split("."))
    code, message = finding.warning.code, finding.warning.message
    # What a kind warns of may be a secret that stands there.
    other = Visibility.HIDDEN if code == OF_KIND else Visibility.PLACES
    visibility = Visibility.PUBLIC if finding.is_shown else other
    problem = place.document.problem(path, message, visibility=visibility, code=code)
    if findings.in_shell and finding.is_of_unit:
        note = f"{finding.key} is a credential of the unit, which a shell has not: tokend check --unit tokend.service"
        findings.notes.append(replace(problem, message=f"{note} reads it"))
    elif finding.is_of_text:
        findings.errors.append(problem)
    elif finding.is_error:
        findings.of_this_machine(problem)
    else:
        findings.warnings.append(problem)


def report_literals(
    place: PlacedSettings, sources: Mapping[str, SecretSource], harmless: frozenset[str], findings: Findings
) -> None:
    """Report an error for each secret that stands in a file that others can read, else a warning."""
    for key, source in sources.items():
        path = (*place.path, *key.split("."))
        if source.literal is None or key in harmless:
            continue
        if place.document.is_default(path):
            message = "no secret stands in a vendor's file, which others may read: write its place into this table"
            findings.errors.append(place.document.problem(path, message))
            continue
        if place.document.readable_by_others:
            message = f"a secret stands here and others can read this file: chmod 0600 it, or {ELSEWHERE}"
            findings.errors.append(place.document.problem(path, message))
        else:
            message = f"a secret stands in the file itself: {ELSEWHERE}"
            findings.warnings.append(place.document.problem(path, message, code="literal_secret"))


def _check_proxy(provider: PlacedSettings, findings: Findings) -> None:
    proxy = provider.settings.__dict__.get("proxy")
    if proxy is not None and "@" in proxy and provider.document.readable_by_others:
        message = "the proxy's password stands here and others can read this file: chmod 0600 it"
        findings.errors.append(provider.document.problem((*provider.path, "proxy"), message))
