"""Users and groups of a configuration that this machine does not know."""

from pathlib import Path

from tests.config.written import ENVIRON, PARTNER, loaded, only, refused, written
from tokend.config import load
from tokend.kinds import PROVIDERS, SINKS


def test_names_that_this_machine_does_not_know_are_warned_about(tmp_path: Path) -> None:
    """Unknown names cause a warning, because another machine may know them. Numbers are always accepted."""
    text = (
        '[daemon]\nadmins = ["root", "no-such-user", "12345"]\nsocket_group = "0"\n' + PARTNER +
        'access = { users = ["root"], groups = ["no-such-group"], units = ["no-such.service"] }\n'
        'sinks = [{ kind = "raw", path = "x", owner = "no-such-user", group = "0" }]\n'
    )  # fmt: skip
    warnings = loaded(written(tmp_path, text)).warnings
    assert [(w.line, w.message) for w in warnings] == [
        (2, 'there is no user "no-such-user" on this machine'),
        (7, 'there is no group "no-such-group" on this machine'),
        (8, 'there is no user "no-such-user" on this machine'),
    ]


def test_a_socket_for_an_unknown_group_is_an_error(tmp_path: Path) -> None:
    """No program could reach it. A start warns, and is repeated by systemd: the directory service may be late."""
    main = written(tmp_path, '[daemon]\nsocket_group = "no-such-group"\n')
    problem = only(refused(main))
    assert (problem.line, problem.message) == (2, 'there is no group "no-such-group" on this machine')
    assert load(main, providers=PROVIDERS, sinks=SINKS, environ=ENVIRON, starting=True).warnings == (problem,)
