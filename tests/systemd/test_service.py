"""tokend.service and its neighbours under a real systemd; what is done and asked is in `inside/`."""

from tests.systemd.conftest import Inside


def test_every_unit_is_valid_and_the_service_is_closed(inside: Inside) -> None:
    """`systemd-analyze verify` says nothing, also with each drop-in; the exposure is at most 1.4."""
    inside("units")


def test_it_is_ready_while_the_upstream_is_down(inside: Inside) -> None:
    """READY means: configuration applied and sockets listening; owners and modes are those of the documentation."""
    inside("start")


def test_a_reload_waits_for_the_new_configuration_and_fails_if_it_is_refused(inside: Inside) -> None:
    """The exit status of `systemctl reload` reports it; nothing that runs is touched by a refused one."""
    inside("reload")


def test_the_journal_has_warnings_by_priority_an_event_a_line_and_nothing_secret(inside: Inside) -> None:
    """`journalctl -u tokend -p warning` is what an operator has to read."""
    inside("journal")


def test_a_crash_costs_no_login(inside: Inside) -> None:
    """kill -9: systemd starts it again, the token comes from the state, the files were never gone."""
    inside("crash")


def test_a_blocked_loop_is_killed_by_the_watchdog_and_started_again(inside: Inside) -> None:
    """No login after that either; where it stood is in the journal."""
    inside("watchdog")


def test_tokens_in_the_descriptor_store_outlive_a_restart_and_a_crash_but_not_a_stop(inside: Inside) -> None:
    """`state = "fdstore"`: no login after either, and nothing of the token on a disk."""
    inside("fdstore")


def test_a_start_that_cannot_succeed_is_not_repeated(inside: Inside) -> None:
    """Exit status 78 (configuration) and 75 (another instance holds the state)."""
    inside("refused-start")


def test_readers_get_in_by_group_and_units_by_their_environment(inside: Inside) -> None:
    """Members of tokend-clients, DynamicUser= with SupplementaryGroups=, EnvironmentFile= on a dotenv sink."""
    inside("readers")


def test_units_are_distinguished_on_the_socket_with_the_drop_in(inside: Inside) -> None:
    """`access.units` on tokend.sock and a sink's socket: not a person's unit of that name, nor one that is made up."""
    inside("units-on-the-socket")


def test_a_sink_has_systemd_reload_a_unit_by_a_rule_of_polkit(inside: Inside) -> None:
    """The unprivileged daemon may do what the example rule says, and nothing without it."""
    inside("polkit")


def test_sockets_held_by_systemd_refuse_nobody_during_a_restart(inside: Inside) -> None:
    """Socket activation: the first reader starts tokend, and none gets an error while it restarts."""
    inside("activation")


def test_a_user_runs_it_without_being_logged_in(inside: Inside) -> None:
    """The user unit, under the user's own manager, by linger."""
    inside("user")
