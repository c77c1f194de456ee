"""``tokend status``: the state of the daemon and of each token, for people and, with ``-o json``, for programs."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from tokend.cli.login_line import describe_login, remedy_of
from tokend.cli.options import OUTPUT, SOCKET, name_argument
from tokend.cli.plugin_line import describe_plugin
from tokend.cli.streams import escaped, escaped_values
from tokend.cli.token_rows import (
    describe_age,
    describe_life,
    describe_seconds,
    find_row,
    needs_a_person,
    paused_until,
    seconds_since,
    seconds_until,
    state_colour,
    use_colours,
)
from tokend.client import TokenClient

# A longer first line would hide its own beginning, "tokend is not ready".
MOST_REASONS = 3


@click.command("status")
@name_argument(issued=None, required=False)
@click.option("--inspect", is_flag=True, help="Ask each sink of NAME now what its file or store holds. For admins.")
@OUTPUT
@SOCKET
def command(name: str | None, inspect: bool, output: str, socket: str | None) -> int:
    """Show the state of the daemon and of all tokens, or only of the token NAME.

    With --inspect, "looked at" says whether each target holds what it must hold. Nothing is written, except what
    drift = "repair" writes again.

    Exit code with NAME: 0 valid or on demand, 4 rejected or login required (a person must act), 5 unknown, 7 no valid
    token. Without NAME: always 0.
    """
    if inspect and name is None:
        raise click.UsageError("--inspect needs a NAME")
    client = TokenClient(socket)
    if inspect:
        client.inspect(str(name))
    answer = client.status()
    rows = answer["tokens"] if name is None else [find_row(answer, name)]
    if output == "json":
        click.echo(json.dumps({**answer, "tokens": rows}))
    else:
        rows = escaped_values(rows)
        blocks = [] if name is not None else [_headline(_printable(answer), rows)]
        blocks += ["\n".join(_block(row, looked=inspect)) for row in rows]
        click.echo("\n\n".join(blocks), color=use_colours())
    return 0 if name is None else _exit_code(rows[0])


def _printable(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Escape control characters; the error of a configuration keeps its lines."""
    error = answer["config"]["error"]
    shown: dict[str, Any] = escaped_values(dict(answer))
    return {**shown, "config": {**shown["config"], "error": error and escaped(str(error), kept="\n")}}


def _exit_code(row: Mapping[str, Any]) -> int:
    if needs_a_person(row):
        return 4
    return 0 if row["valid"] or row["state"] == "on_demand" else 7


def _headline(answer: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Say whether tokend is ready, the reasons if it is not, and which configuration is in force."""
    if answer["ready"]:
        first = click.style("tokend is ready", fg="green")
    else:
        reasons = list(_missing(rows)) or ["something that you may not see is missing"]
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        first = click.style("tokend is not ready", fg="red") + ": " + "; ".join(reasons[:MOST_REASONS] + more)
    config = answer["config"]
    lines = [first, f"configuration loaded {describe_age(config['loaded_at'])}"]
    if config["error"]:
        lines[1] += ", " + click.style("a newer one was refused", fg="red") + ":"
        lines += ["  " + line for line in str(config["error"]).splitlines()]
    if restart := config.get("restart_needed"):
        lines.append(click.style("restart needed", fg="yellow") + f" for {', '.join(restart)}")
    for one in answer.get("listeners", ()):
        if one["error"]:
            lines.append(f"{one['name']} at {one['address']}: {click.style(one['state'], fg='red')}: {one['error']}")
    for one in answer.get("sockets", ()):
        if one["error"]:
            lines.append(f"socket {one['path']}: {click.style(one['state'], fg='red')}: {one['error']}")
    for one in answer.get("plugins", ()):
        lines.append(click.style(describe_plugin(one), fg="red" if one["error"] else None))
    for warning in (answer.get("state") or {}).get("warnings", ()):
        lines.append(click.style(warning["message"], fg="yellow"))
    return "\n".join(lines)


def _missing(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["required"] and not row["valid"]:
            yield f"{row['name']} has no valid token"
    for row in rows:
        if row["required"] and row["valid"]:
            for sink in row["sinks"]:
                if sink["state"] != "ok" and sink.get("required", True):
                    yield f"{row['name']} is not in {_target(sink)}"


def _block(row: Mapping[str, Any], *, looked: bool = False) -> Iterator[str]:
    """Describe one token: a line with its state, then a line per fact. ``looked``: its sinks were looked at now."""
    state = click.style(row["state"], fg=state_colour(row["state"]))
    optional = "" if row["required"] or row["state"] == "on_demand" else " (required = false)"
    yield f"{click.style(row['name'], bold=True)} ({row['kind']}): {state}{optional}"
    if row["valid"]:
        yield _line("token", f"{describe_life(row)}, generation {row['generation']}, fingerprint {row['fingerprint']}")
    elif row["state"] != "on_demand":
        yield _line("token", "none that is valid")
    if (login := row.get("login")) is not None:
        yield _line("login", describe_login(login))
    if error := row["last_error"]:
        times = f", {row['failures']} failures in a row" if row["failures"] > 1 else ""
        yield _line("error", f"{error['detail']} ({error['class']}, {describe_age(error['at'])}{times})")
    paused = paused_until(row)
    held_back = paused is not None and seconds_until(row["paused_until"]) + 1 >= _seconds_until_next(row)
    if paused is not None and held_back:
        yield _line("next", paused)
    elif row["state"] != "on_demand":
        yield _line("next", _next(row))
    if paused is not None and not held_back:
        yield _line("note", paused)
    if row.get("note"):
        yield _line("note", row["note"])
    if (reports := row.get("reports") or {}).get("count"):
        yield _line("reports", _reports(reports))
    for warning in row.get("warnings", ()):
        yield _line("warning", warning["message"])
    for sink in row["sinks"]:
        # The label of a store, which `tokend sync --sink` takes. A file is known by its path.
        name = sink["kind"] if sink["path"] is not None else sink.get("label", sink["kind"])
        yield _line(name, describe_sink(sink, looked=looked))


def _reports(reports: Mapping[str, Any]) -> str:
    """Say how often clients reported that an upstream refused the token."""
    times = "once" if reports["count"] == 1 else f"{reports['count']} times"
    by = "" if reports.get("uid") is None else f", by uid {reports['uid']}"
    last = f"last {describe_age(reports['last_at'])}{by} ({reports['reason']})"
    return f"refused by the upstream, {times} as clients say, {last}"


def _seconds_until_next(row: Mapping[str, Any]) -> float:
    """Return when the daemon would send something; an on-demand token whenever a client asks for one."""
    if row["next_attempt_at"] is not None:
        return seconds_until(row["next_attempt_at"])
    return 0.0 if row["state"] == "on_demand" else math.inf


def _line(label: str, text: str) -> str:
    return f"  {label:<8} {text}"


def _next(row: Mapping[str, Any]) -> str:
    """Say what the daemon does next with this token, or what a person has to do."""
    if row["next_attempt_at"] is not None and row["state"] == "rejected":
        seconds = seconds_until(row["next_attempt_at"])
        when = f"in {describe_seconds(seconds)}" if seconds >= 1 else "now"
        return f"the next `tokend issue` is sent {when}, or after `tokend refresh {row['name']}`"
    if row["next_attempt_at"] is not None:
        what = "refresh" if row["state"] == "valid" else "attempt"
        seconds = seconds_until(row["next_attempt_at"])
        return f"{what} in {describe_seconds(seconds)}" if seconds >= 1 else f"{what} now"
    if row["state"] == "login_required" and row.get("login") is not None:
        what = "a person logs in" if row["login"]["command"] else "there is another refresh token"
        return f"no attempt until {what}: {remedy_of(row['login'])}"
    if needs_a_person(row):
        return f"no attempt until a person acts: fix the credentials, or run `tokend refresh {row['name']}`"
    return "nothing is planned"


def describe_sink(sink: Mapping[str, Any], *, looked: bool = False) -> str:
    """Describe one sink: its target, its state, what is known of a store, and what the last look found."""
    optional = "" if sink.get("required", True) else " (required = false)"
    parts = [_sink(sink) + _hook(sink)]
    if sink["path"] is None and sink.get("generation") is not None:
        parts.append(f"generation {sink['generation']}")
    if sink.get("store_version"):
        parts.append(f"version {sink['store_version']}")
    if sink.get("remark"):
        parts.append(str(sink["remark"]))
    if (drift := sink.get("drift")) is not None and (looked or drift != "none"):
        parts.append("looked at: " + _drift(str(drift)))
    elif looked:
        parts.append("not looked at")
    return f"{_target(sink)}, {', '.join(parts)}{optional}"


def _drift(drift: str) -> str:
    """Say what a look has found: the word, and what follows its colon."""
    word, _, more = drift.partition(":")
    words = {"none": "as it must be", "changed": "changed by another writer", "missing": "our value is not there"}
    shown = words.get(word, word) + (f":{more}" if more else "")
    return shown if word == "none" else click.style(shown, fg="yellow")


def _target(sink: Mapping[str, Any]) -> str:
    """Name the sink's target; a daemon of 0.1.0 has only files and calls them ``path``."""
    return str(sink.get("target", sink["path"]))


def _sink(sink: Mapping[str, Any]) -> str:
    written = "" if sink["last_success_at"] is None else f"written {describe_age(sink['last_success_at'])}"
    if repairs := sink.get("repairs"):  # a daemon of 0.1.0 repairs nothing
        written += f", repaired {repairs} times" if repairs > 1 else ", repaired once"
    if sink["state"] == "ok":
        return written or "ok"
    if sink["state"] == "removed":
        return "removed " + describe_age(sink["last_success_at"])
    if sink["error"]:
        error = str(sink["error"]).removeprefix(f"{_target(sink)}: ")  # the line begins with the target
        return click.style(sink["state"], fg="red") + f": {error}" + (f" (last {written})" if written else "")
    return str(sink["state"])


def _hook(sink: Mapping[str, Any]) -> str:
    """Say since when the hook of a sink runs; a failed one is the error of its sink."""
    hook = sink.get("hook") or {"state": "idle"}
    if hook["state"] != "running":
        return ""
    return f", hook: running {describe_seconds(seconds_since(hook['since']))}"
