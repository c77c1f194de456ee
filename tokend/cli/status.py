"""``tokend list``, ``status`` and ``verify``: how everything stands, for people and, with ``-o json``, for programs."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tokend.cli.options import NAME, OUTPUT, SOCKET, name_argument
from tokend.client import BadRequestError, TokenClient, UnknownTokenError

COLOURS = {"valid": "green", "on_demand": "green", "failing": "yellow", "pending": "yellow"}
# More would hide, in the first line, that something is wrong at all.
MOST_REASONS = 3


@click.command("list")
@OUTPUT
@SOCKET
def list_tokens(output: str, socket: str | None) -> None:
    """List the tokens that you may see: never a token itself."""
    rows = TokenClient(socket).list()
    if output == "json":
        click.echo(json.dumps({"version": 1, "tokens": rows}))
        return
    table = [["NAME", "KIND", "STATE", "LEFT", "GENERATION", "FINGERPRINT"]]
    table += [
        [row["name"], row["kind"], row["state"], _left(row), str(row["generation"] or "-"), row["fingerprint"] or "-"]
        for row in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for index, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if index:
            cells[2] = click.style(cells[2], fg=COLOURS.get(row[2], "red"))
        click.echo("  ".join(cells).rstrip(), color=colour())


@click.command()
@name_argument(issued=None, required=False)
@OUTPUT
@SOCKET
def status(name: str | None, output: str, socket: str | None) -> int:
    """Show how everything stands, or only the token NAME.

    Exit code with NAME: 0 valid or on demand, 4 rejected (a person must act), 5 unknown, 7 no valid token. Without
    NAME: 0, whatever it shows.
    """
    answer = TokenClient(socket).status()
    rows = answer["tokens"] if name is None else [_row(answer, name)]
    if output == "json":
        click.echo(json.dumps({**answer, "tokens": rows}))
    else:
        blocks = [] if name is not None else [_headline(answer, rows)]
        blocks += ["\n".join(_block(row)) for row in rows]
        click.echo("\n\n".join(blocks), color=colour())
    return 0 if name is None else _code(rows[0])


@click.command()
@NAME
@SOCKET
def verify(name: str, socket: str | None) -> int:
    """Tell whether a token is valid now, as the daemon knows it. No request goes to the upstream.

    Exit code 0: valid; 7: not valid; 4: not valid, and a person must act.
    """
    row = _row(TokenClient(socket).status(), name)
    if row["valid"]:
        click.echo(f"{name}: valid, {_life(row)}, fingerprint {row['fingerprint']}, state {row['state']}")
        return 0
    if row["state"] == "on_demand":
        text = f"{name!r} is issued on demand: nothing of it is held that could be verified"
        raise BadRequestError(text, code="not_supported")
    error = row["last_error"]
    click.echo(f"{name}: not valid, state {row['state']}" + (f" ({error['detail']})" if error else ""))
    return 4 if needs_a_person(row) else 7


def rows_by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The rows of a list or a status, by the tokens' names."""
    return {row["name"]: row for row in rows}


def needs_a_person(row: Mapping[str, Any]) -> bool:
    """Tell whether nothing will get better by itself."""
    return row["state"] in {"rejected", "login_required"}


def describe(seconds: float) -> str:
    """A duration for people: the two largest units."""
    total = int(seconds)
    parts = [(total // 86400, "d"), (total // 3600 % 24, "h"), (total // 60 % 60, "min"), (total % 60, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or "0 s"


def colour() -> bool | None:
    """What click should do about colours: nothing where NO_COLOR is set, else decide by the terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _row(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    try:
        return rows_by_name(answer["tokens"])[name]
    except KeyError:
        text = f"no token {name!r} here, or none that you may read; `tokend list` shows yours"
        raise UnknownTokenError(text, code="unknown_token") from None


def _code(row: Mapping[str, Any]) -> int:
    if needs_a_person(row):
        return 4
    return 0 if row["valid"] or row["state"] == "on_demand" else 7


def _headline(answer: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether tokend is ready, and why not, and which configuration is in force."""
    if answer["ready"]:
        first = click.style("tokend is ready", fg="green")
    else:
        reasons = list(_missing(rows)) or ["something that you may not see is missing"]
        more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
        first = click.style("tokend is not ready", fg="red") + ": " + "; ".join(reasons[:MOST_REASONS] + more)
    config = answer["config"]
    lines = [first, f"configuration loaded {_since(config['loaded_at'])}"]
    if config["error"]:
        lines[1] += ", " + click.style("a newer one was refused", fg="red") + ":"
        lines += ["  " + line for line in str(config["error"]).splitlines()]
    return "\n".join(lines)


def _missing(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["required"] and not row["valid"]:
            yield f"{row['name']} has no valid token"
    for row in rows:
        if row["required"] and row["valid"]:
            for sink in row["sinks"]:
                if sink["state"] != "ok":
                    yield f"{row['name']} is not in {_target(sink)}"


def _block(row: Mapping[str, Any]) -> Iterator[str]:
    """One token: a line with its state, then a line per fact."""
    state = click.style(row["state"], fg=COLOURS.get(row["state"], "red"))
    yield f"{click.style(row['name'], bold=True)} ({row['kind']}): {state}"
    if row["valid"]:
        yield _line("token", f"{_life(row)}, generation {row['generation']}, fingerprint {row['fingerprint']}")
    elif row["state"] != "on_demand":
        yield _line("token", "none that is valid")
    if error := row["last_error"]:
        times = f", {row['failures']} failures in a row" if row["failures"] > 1 else ""
        yield _line("error", f"{error['detail']} ({error['class']}, {_since(error['at'])}{times})")
    if row["state"] != "on_demand":
        yield _line("next", _next(row))
    if row.get("note"):
        yield _line("note", row["note"])
    for sink in row["sinks"]:
        yield _line(sink["kind"], f"{_target(sink)}, {_sink(sink)}")


def _line(label: str, text: str) -> str:
    return f"  {label:<8} {text}"


def _next(row: Mapping[str, Any]) -> str:
    """What happens next, or who has to make something happen."""
    if row["next_attempt_at"] is not None:
        what = "refresh" if row["state"] == "valid" else "attempt"
        seconds = _until(row["next_attempt_at"])
        return f"{what} in {describe(seconds)}" if seconds >= 1 else f"{what} now"
    if needs_a_person(row):
        return f"nothing by itself: mend the credentials, or run `tokend refresh {row['name']}`"
    return "nothing is planned"


def _target(sink: Mapping[str, Any]) -> str:
    """Name the sink's target; a daemon of 0.1.0 has only files and calls them ``path``."""
    return str(sink.get("target", sink["path"]))


def _sink(sink: Mapping[str, Any]) -> str:
    written = "" if sink["last_success_at"] is None else f"written {_since(sink['last_success_at'])}"
    if sink["state"] == "ok":
        return written or "ok"
    if sink["error"]:
        return click.style(sink["state"], fg="red") + f": {sink['error']}" + (f" (last {written})" if written else "")
    return str(sink["state"])


def _life(row: Mapping[str, Any]) -> str:
    left = _left(row)
    return left if row["expires_at"] is None else f"{left} left"


def _left(row: Mapping[str, Any]) -> str:
    if not row["valid"]:
        return "-"
    if row["expires_at"] is None:
        return "no end"
    seconds = row.get("seconds_left")
    return describe(_until(row["expires_at"]) if seconds is None else seconds)


def _until(moment: str) -> float:
    return max(0.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())


def _since(moment: str) -> str:
    return describe(max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())) + " ago"
