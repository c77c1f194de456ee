"""Content of remote sinks: the raw token, one template, several; what a store must not get."""

from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from tests.sinks.leases import PLANTED, InlineRuntime, lease
from tokend.plugin.remote_sink import HttpSinkSettings, RemoteSinkSettings, ValuesSettings
from tokend.plugin.sink import Content
from tokend.values.errors import SinkError
from tokend.values.secret import Secret


class Plain(RemoteSinkSettings):
    """A store of one value."""

    kind: str = "plain"

    @property
    def target(self) -> str:
        return "plain:app"


class Variables(Plain):
    """A store of variables."""

    one_line = True


class Several(ValuesSettings, Plain):
    """A store of several keys in one object."""

    kind: str = "several"


class Http(HttpSinkSettings, Plain):
    """A store over HTTP."""

    kind: str = "http"

    @property
    def server_url(self) -> tuple[str, str]:
        return "address", "https://store.example"


def content(sink: RemoteSinkSettings, **others: Any) -> Content:
    async def main() -> Content:
        return await sink.content(InlineRuntime(), lease(), others)

    return anyio.run(main)


def test_without_a_template_it_is_the_raw_token() -> None:
    """With its generation and its end."""
    made = content(Plain())
    assert isinstance(made.values, Secret)
    assert (made.values.reveal(), made.generation) == (PLANTED, 7)
    assert made.expires_at == lease().token.expires_at


def test_a_template_uses_the_variables_of_the_template_sink_and_the_other_tokens() -> None:
    """The content ends with the first of its tokens."""
    sink = Plain.model_validate({"value": "{{ access_token }}/{{ tokens.b.access_token }}", "tokens": ["b"]})
    other = lease("planted-fake-other", name="b", life_seconds=60)
    made = content(sink, b=other)
    assert isinstance(made.values, Secret)
    assert made.values.reveal() == f"{PLANTED}/planted-fake-other"
    assert made.expires_at == other.token.expires_at


def test_several_templates_make_several_values() -> None:
    """By their literal keys."""
    made = content(Several.model_validate({"values": {"a.b": "{{ access_token }}", "TYPE": "{{ token_type }}"}}))
    assert not isinstance(made.values, Secret)
    assert {key: one.reveal() for key, one in made.values.items()} == {"a.b": PLANTED, "TYPE": "Bearer"}


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        (Plain(value="{% if false %}x{% endif %}"), "plain:app: the value is empty"),
        (Several(values={"KEY": "{{ '' }}"}), "plain:app: the value of KEY is empty"),
        (Variables(value="{{ access_token }}\n"), "holds a control character"),
        (Plain(value="{{ nothing }}"), "which is not there"),
    ],
    ids=["empty", "empty key", "control", "undefined"],
)
def test_what_a_store_must_not_get_is_refused(sink: RemoteSinkSettings, message: str) -> None:
    """The target and the key are named, never the value."""
    with pytest.raises(SinkError, match=message) as raised:
        content(sink)
    assert PLANTED not in raised.value.detail


def test_a_store_of_texts_takes_several_lines() -> None:
    """Only a store of variables refuses them."""
    made = content(Plain(value="{{ access_token }}\n"))
    assert isinstance(made.values, Secret)
    assert made.values.reveal() == f"{PLANTED}\n"


def test_nothing_of_the_templates_is_in_the_repr() -> None:
    """A person may have written a secret there."""
    for keys in ({"value": "planted-fake-v"}, {"values": {"A": "planted-fake-w"}}):
        assert "planted" not in repr(Several.model_validate(keys))


def test_keys_have_limits() -> None:
    """An empty template is no template."""
    for wrong in ({"value": ""}, {"timeout": "0s"}, {"drift": "heal"}, {"min_interval": 5}):
        with pytest.raises(ValidationError):
            Plain.model_validate(wrong)


def test_defaults_are_those_of_a_store_elsewhere() -> None:
    """Changes by others are reported; nothing is looked at without an interval; a host only where there is one."""
    assert (Plain().drift, Plain().drift_interval, Plain().upstream) == ("report", None, None)
    assert Http().upstream == "store.example:443"
    assert Plain().announcement_timing() is None


class Counted(Plain):
    """A store with a quota, and a program."""

    writes_per_day = 100
    read_with = frozenset({"shelfctl"})

    def names_in_store(self) -> tuple[str, ...]:
        return ("team/app", "token")


@pytest.mark.parametrize(
    ("life", "interval", "warns"),
    [(1079.0, None, True), (1080.0, None, False), (60.0, "14m", True), (60.0, "15m", False), (0.0, None, True)],
)
def test_a_life_or_an_interval_that_fits_the_quota_is_no_warning(
    life: float, interval: str | None, warns: bool
) -> None:
    """100 writes a day are one in 864 s, four fifths of 18 minutes."""
    sink = Counted.model_validate({"min_interval": interval} if interval else {})
    assert (sink.quota_warning(life) is not None) == warns
    assert Plain().quota_warning(life) is None


@pytest.mark.parametrize(
    ("argv", "reads"),
    [
        (("shelfctl", "get", "-field=token", "team/app"), True),
        (("/usr/bin/shelfctl", "get", "team/app#token"), True),
        (("sh", "-c", "shelfctl get team/app | jq -r .token"), True),
        (("shelfctl", "get", "-field=token", "team/app2"), False),
        (("shelfctl", "get", "-field=tokens", "team/app"), False),
        (("cat", "team/app", "token"), False),
    ],
)
def test_a_command_reads_the_value_if_it_names_program_and_place(argv: tuple[str, ...], reads: bool) -> None:
    """Whole names only. A store without a program is read by none."""
    assert Counted().is_read_by(argv) is reads
    assert not Plain().is_read_by(argv)
