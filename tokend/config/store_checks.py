"""Checks of remote sinks: their templates, their credentials, and how often their stores take a value."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from tokend.config.config_files import PlacedSettings
from tokend.config.findings import ConfigProblem, Findings
from tokend.config.kind_failures import failure_of_kind
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import HeldSettings, SinkSettings
from tokend.plugin.shown_text import begins_as_secret, shown


def check_stores(sinks: Iterable[PlacedSettings], providers: Iterable[PlacedSettings], findings: Findings) -> None:
    """Check each remote sink, and the templates of the other sinks whose kind wants it.

    An error is a template that cannot be compiled or that reads a token which the sink does not name, and a credential
    that is read from what the sink itself writes. A quota that a token's life makes impossible is a warning.
    """
    tables = {str(place.path[-1]): place for place in providers}
    for sink in sinks:
        settings: SinkSettings = sink.settings
        if settings.family == "remote" or type(settings).placed_templates is not SinkSettings.placed_templates:
            try:
                errors = (_of_templates(sink), _of_credentials(sink, tables), _of_removal(sink, tables))
                findings.errors.extend(chain(*errors))
                findings.warnings.extend(chain(_of_quota(sink, tables), _of_names(sink)))
            except (Exception, SystemExit) as error:
                message = failure_of_kind(type(settings), settings.kind, error)
                findings.errors.append(sink.document.problem(sink.path, message))


def _of_templates(sink: PlacedSettings) -> Iterator[ConfigProblem]:
    settings: SinkSettings = sink.settings
    for key, template in settings.placed_templates():
        # Imported here: Jinja takes 4 MB of memory, and few configurations have a template.
        from tokend.plugin.template_check import template_faults

        for fault in template_faults(template, {_owner(sink), *settings.other_tokens()}):
            yield sink.document.problem((*sink.path, *key), f"{key[-1]}: {fault}")


def _of_credentials(sink: PlacedSettings, tables: Mapping[str, PlacedSettings]) -> Iterator[ConfigProblem]:
    """Yield an error for each credential of the sink that is a token whose secret a command reads from its target.

    (A file that a sink writes must not hold a secret in any case: `cross_checks.check_targets`.)
    """
    settings: SinkSettings = sink.settings
    for key, source in settings.secrets().items():
        for name, needed in _secrets_behind(source, tables):
            if needed.command is not None and settings.is_read_by(needed.command):
                message = (
                    f"{key}: {name} authenticates here, and its secret is read from what this sink writes: after the "
                    "end of either token neither could be had. Keep that secret elsewhere"
                )
                yield sink.document.problem((*sink.path, key), message)


def _of_removal(sink: PlacedSettings, tables: Mapping[str, PlacedSettings]) -> Iterator[ConfigProblem]:
    """Yield an error if the token is to be removed at its end, and the sink lacks the request for it."""
    provider, fault = tables.get(_owner(sink)), sink.settings.removal_fault()
    if fault is not None and provider is not None and getattr(provider.settings, "on_expiry", "keep") == "remove":
        yield sink.document.problem(sink.path, fault)


def _of_quota(sink: PlacedSettings, tables: Mapping[str, PlacedSettings]) -> Iterator[ConfigProblem]:
    """Yield a warning if the settings say how long a token of the sink lives, and the store's quota is too small.

    Also if ``min_interval`` is longer than that: it follows a quota, and the store holds an ended token.
    """
    settings: SinkSettings = sink.settings
    places = [tables[name] for name in (_owner(sink), *settings.other_tokens()) if name in tables]
    between = [life for one in places if (life := _life_seconds(one)) is not None]
    lives = [life for one in places if (life := _fresh_life_seconds(one)) is not None]
    warnings = (
        settings.quota_warning(min(between)) if between else None,
        settings.interval_warning(min(lives)) if lives else None,
    )
    for warning in filter(None, warnings):
        yield sink.document.problem(sink.path, shown(warning), code="store_quota")


def _of_names(sink: PlacedSettings) -> Iterator[ConfigProblem]:
    """Yield a warning for each key of a store whose value begins as a vendor's credential: it is shown nowhere."""
    fields = type(sink.settings).model_fields
    for key, value in sink.settings.__dict__.items():
        if isinstance(value, str) and fields[key].repr and begins_as_secret(value):
            message = f"{key}: this looks like a secret, and a name belongs here: it is sent to the store as it is"
            key = fields[key].alias or key
            yield sink.document.problem((*sink.path, key), message, code="literal_secret")


def _owner(sink: PlacedSettings) -> str:
    """Return the name of the provider whose sink this is: the second part of ``providers.NAME.sinks.0``."""
    return str(sink.path[1])


def _secrets_behind(source: SecretSource, tables: Mapping[str, PlacedSettings]) -> Iterator[tuple[str, SecretSource]]:
    """Yield the secrets of the provider that ``source`` names, and of those that they name, each with its provider."""
    waiting, seen = [source.token], set[str]()
    while waiting:
        name = waiting.pop()
        if name is None or name in seen or name not in tables:
            continue
        seen.add(name)
        for needed in tables[name].settings.secrets().values():
            yield name, needed
            waiting.append(needed.token)


def _fresh_life_seconds(place: PlacedSettings) -> float | None:
    """Return the life of a provider's tokens, if the settings alone determine it."""
    settings = place.settings
    return settings.fresh_life_seconds() if isinstance(settings, HeldSettings) else None


def _life_seconds(place: PlacedSettings) -> float | None:
    """Return the time between two tokens of a provider, if the settings alone determine it."""
    settings = place.settings
    if not isinstance(settings, HeldSettings):
        return None
    known = [life for life in (settings.fresh_life_seconds(), settings.max_age_seconds) if life is not None]
    return min(known, default=None)
