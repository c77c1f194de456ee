"""A kind is one file and one line in the table; each further place that it needs fails here until it is filled."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from tests.providers.test_provider_contract import KINDS as NETWORK_KINDS
from tests.sinks.test_remote_sink_contract import KINDS as REMOTE_SINK_KINDS
from tests.sinks.test_sink_contract import KINDS as FILE_SINK_KINDS
from tests.sinks.test_sink_contract import OF_SEVERAL_FILES
from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.settings import HeldSettings, NetworkSettings, OnDemandSettings, ProviderSettings, SinkSettings
from tokend.sandbox.guide import guide
from tokend.sandbox.options import Options
from tokend.sinks.files.base import FileSink

ROOT = Path(__file__).parents[1]
Model = type[ProviderSettings] | type[SinkSettings]


def page(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def has_example(kind: str, model: Model) -> str:
    shown = re.search(rf'^#?kind = "{kind}"', page("config.toml.example"), re.MULTILINE)
    return "" if shown else f'config.toml.example: a table with kind = "{kind}" and every key of it'


def has_row_in_kinds(kind: str, model: Model) -> str:
    return (
        "" if f"| [`{kind}`](#{kind}) |" in page("docs/kinds.md") else f"docs/kinds.md: a row for [`{kind}`](#{kind})"
    )


def has_section_in_kinds(kind: str, model: Model) -> str:
    return "" if f"\n## {kind}\n" in page("docs/kinds.md") else f"docs/kinds.md: a section ## {kind} with an example"


def has_row_in_the_readme(kind: str, model: Model) -> str:
    return "" if f"| [`{kind}`](" in page("README.md") else f"README.md: a row for {kind} in the table of kinds"


def has_facts(kind: str, model: Model) -> str:
    return "" if f"\n## {kind}\n" in page("docs/vendors.md") else f"docs/vendors.md: a section ## {kind} with its facts"


def has_row_in_sinks(kind: str, model: Model) -> str:
    return "" if f"| `{kind}` |" in page("docs/sinks.md") else f"docs/sinks.md: a row for `{kind}`"


def has_tests(kind: str, model: Model) -> str:
    parts = model.__module__.split(".")[1:]
    path = Path("tests", *parts[:-1], f"test_{parts[-1]}.py")
    return "" if (ROOT / path).exists() else f"{path}: the kind's own tests"


def has_sandbox(kind: str, model: Model) -> str:
    if kind in WITHOUT_AN_UPSTREAM:
        return ""
    lines = "\n".join(guide("http://127.0.0.1:1", Options()))
    fills = re.search(rf"^  {kind} ", lines, re.MULTILINE)
    what = f"tokend/sandbox/vendors/: a file that plays the upstream of {kind}, and its account in guide.py"
    return "" if fills else what


def is_in_the_network_contract(kind: str, model: Model) -> str:
    what = "tests/providers/test_provider_contract.py: a row in KINDS, with a good reply of its upstream"
    return "" if not issubclass(model, NetworkSettings) or kind in NETWORK_KINDS else what


def is_in_the_file_sink_contract(kind: str, model: Model) -> str:
    what = "tests/sinks/test_sink_contract.py: a row in KINDS"
    known = {name for name, _ in FILE_SINK_KINDS.values()} | OF_SEVERAL_FILES
    return "" if not issubclass(model, FileSink) or kind in known else what


def is_in_the_remote_sink_contract(kind: str, model: Model) -> str:
    remote = issubclass(model, SinkSettings) and model.family == "remote"
    what = "tests/sinks/test_remote_sink_contract.py: a row in KINDS, with a store that the tests play"
    return "" if not remote or model in {row.model for row in REMOTE_SINK_KINDS.values()} else what


# Kinds that need no part in the sandbox, which plays upstreams: they ask none, and sign nothing that one would check.
WITHOUT_AN_UPSTREAM = {"command": "a program prints the token", "file": "a file holds the token"}


Place = Callable[[str, Model], str]
OF_PROVIDERS: list[Place] = [
    has_example, has_row_in_kinds, has_section_in_kinds, has_row_in_the_readme, has_facts, has_tests, has_sandbox,
    is_in_the_network_contract,
]  # fmt: skip
OF_SINKS: list[Place] = [
    has_example, has_row_in_sinks, has_tests, is_in_the_file_sink_contract, is_in_the_remote_sink_contract,
]  # fmt: skip
KINDS: list[tuple[str, Model, Place]] = [
    *((kind, model, place) for kind, model in PROVIDERS.all().items() for place in OF_PROVIDERS),
    *((kind, model, place) for kind, model in SINKS.all().items() for place in OF_SINKS),
]


@pytest.mark.parametrize(
    ("kind", "model", "place"), KINDS, ids=[f"{kind}-{place.__name__}" for kind, _, place in KINDS]
)
def test_a_kind_has_each_of_its_places(kind: str, model: Model, place: Place) -> None:
    """The failure says what to add, and where."""
    if missing := place(kind, model):
        pytest.fail(f'kind "{kind}" needs {missing}')


@pytest.mark.parametrize("kind", WITHOUT_AN_UPSTREAM)
def test_only_a_kind_that_asks_no_upstream_needs_no_sandbox(kind: str) -> None:
    """A kind that sends requests, or signs what an upstream checks, is not on the list."""
    model = PROVIDERS.all()[kind]
    assert issubclass(model, HeldSettings)
    assert not issubclass(model, NetworkSettings)
    assert model.upstream is ProviderSettings.upstream
    assert model.is_read_from_file or not model.local


class Held(HeldSettings):
    """A held kind that is in no table."""


class Network(HeldSettings, NetworkSettings):
    """A network kind that is in no table."""


class OnDemand(OnDemandSettings):
    """An on-demand kind that is in no table."""


class File(FileSink):
    """A file sink that is in no table."""


class Remote(SinkSettings):
    """A remote sink that is in no table."""

    family: ClassVar = "remote"


CONTRACT = {Network: "KINDS, with a good reply", File: "test_sink_contract.py", Remote: "test_remote_sink_contract.py"}


@pytest.mark.parametrize("model", [Held, Network, OnDemand, File, Remote], ids=lambda model: model.__name__)
def test_a_new_kind_lacks_each_place_at_first(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place is demanded: example, page, own tests, contract, sandbox. A check that finds anything cannot fail."""
    monkeypatch.setattr(model, "__module__", "tokend.providers.novel")
    sink = issubclass(model, SinkSettings)
    missing = [text for place in (OF_SINKS if sink else OF_PROVIDERS) if (text := place("novel", model))]
    wanted = ["config.toml.example", "docs/sinks.md" if sink else "docs/kinds.md", "tests/providers/test_novel.py"]
    wanted += [] if sink else ["README.md", "docs/vendors.md", "tokend/sandbox/vendors/"]
    wanted += [CONTRACT[model]] if model in CONTRACT else []
    for text in wanted:
        assert any(text in one for one in missing), (text, missing)


def test_the_page_for_authors_names_this_file() -> None:
    """Somebody who adds a kind finds it."""
    assert f"pytest tests/{Path(__file__).name}" in page("docs/extending.md")
