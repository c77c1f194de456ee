"""Xerve's users, wallets and single-use tokens, in SQLite. The rules of requests and times are in `xerve`."""

import hashlib
import secrets
import sqlite3
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

_ALPHABET = string.ascii_letters + string.digits
_REFERRAL_ALPHABET = string.ascii_uppercase + string.digits
TOKEN_LENGTH = 64

_TABLES = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, client_id TEXT NOT NULL UNIQUE, display_id TEXT NOT NULL,
    username TEXT NOT NULL, name TEXT NOT NULL, referral_code TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL,
    role TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS wallets (
    user_id INTEGER NOT NULL REFERENCES users (id), currency TEXT NOT NULL, balance TEXT NOT NULL,
    UNIQUE (user_id, currency));
CREATE TABLE IF NOT EXISTS tokens (
    token_hash TEXT PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), ip_address TEXT NOT NULL,
    expires_at REAL NOT NULL, used_at REAL);
CREATE TABLE IF NOT EXISTS movements (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users (id), kind TEXT NOT NULL,
    amount TEXT NOT NULL, balance TEXT NOT NULL, at REAL NOT NULL);
"""

_BALANCE = "SELECT user_id, balance FROM wallets JOIN users ON users.id = user_id WHERE client_id = ?"


@dataclass(frozen=True, slots=True)
class User:
    """Fields of a user that replies show."""

    id: int
    username: str
    display_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Movement:
    """A credit or a debit of a wallet, and the balance after it. Amounts have two decimals."""

    id: int
    kind: str
    amount: str
    balance: str
    at: float


class XerveDatabase:
    """One connection behind a lock. Each call is a transaction; after sqlite3.Error nothing has changed."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        # Isolation level None: sqlite3 then begins no transaction by itself.
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        """Close the file. No other call may follow."""
        with self._lock:
            self._connection.close()

    def upsert(self, *, client_id: str, username: str, name: str, now: float) -> tuple[User, bool]:
        """Create the user of a client id with a wallet, or update its names. Returns the user and whether it is new."""
        with self._transaction() as connection:
            updated = connection.execute(
                "UPDATE users SET username = ?, name = ? WHERE client_id = ?", (username, name, client_id)
            )
            is_new = updated.rowcount == 0
            if is_new:
                self._create(connection, client_id=client_id, username=username, name=name, now=now)
            row = connection.execute(
                "SELECT id, username, display_id, name FROM users WHERE client_id = ?", (client_id,)
            ).fetchone()
            return User(*row), is_new

    def add_token(self, user: User, *, ip_address: str, expires_at: float) -> str:
        """Create a token and store its hash; older tokens of the user stay valid."""
        token = "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_LENGTH))
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, NULL)", (_hash(token), user.id, ip_address, expires_at)
            )
        return token

    def consume(self, token: str, *, now: float) -> User | Literal["unknown", "used", "expired"]:
        """Mark a token as used and return its user, or the reason why not. Of concurrent callers, one succeeds."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT users.id, username, display_id, name, expires_at, used_at FROM tokens"
                " JOIN users ON users.id = user_id WHERE token_hash = ?",
                (_hash(token),),
            ).fetchone()
            if row is None:
                return "unknown"
            if row[5] is not None:
                return "used"
            if now >= row[4]:
                return "expired"
            connection.execute("UPDATE tokens SET used_at = ? WHERE token_hash = ?", (now, _hash(token)))
            return User(*row[:4])

    def balance(self, client_id: str) -> str | None:
        """Return the balance of a user's wallet; None without such a user."""
        with self._transaction() as connection:
            row = connection.execute(_BALANCE, (client_id,)).fetchone()
        return None if row is None else str(row[1])

    def move(self, client_id: str, change: Decimal, *, now: float) -> Movement | Literal["unknown", "insufficient"]:
        """Credit a wallet, or debit it by a negative change. Returns the movement, or the reason why there is none."""
        with self._transaction() as connection:
            row = connection.execute(_BALANCE, (client_id,)).fetchone()
            if row is None:
                return "unknown"
            after = Decimal(row[1]) + change
            if after < 0:
                return "insufficient"
            kind, amount, balance = "credit" if change > 0 else "debit", f"{abs(change):.2f}", f"{after:.2f}"
            connection.execute("UPDATE wallets SET balance = ? WHERE user_id = ?", (balance, row[0]))
            inserted = connection.execute(
                "INSERT INTO movements (user_id, kind, amount, balance, at) VALUES (?, ?, ?, ?, ?)",
                (row[0], kind, amount, balance, now),
            )
            return Movement(int(inserted.lastrowid or 0), kind, amount, balance, now)

    def movements(self, client_id: str) -> list[Movement]:
        """Return the movements of a user's wallet, the newest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT movements.id, kind, amount, balance, at FROM movements JOIN users ON users.id = user_id"
                " WHERE client_id = ? ORDER BY movements.id DESC",
                (client_id,),
            ).fetchall()
        return [Movement(*row) for row in rows]

    def report(self) -> list[dict[str, Any]]:
        """Return users with wallets and counts of tokens; no passwords, no tokens."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT users.id, client_id, display_id, username, name, referral_code, role, status,"
                " currency, balance,"
                " (SELECT count(*) FROM tokens WHERE user_id = users.id),"
                " (SELECT count(used_at) FROM tokens WHERE user_id = users.id)"
                " FROM users JOIN wallets ON wallets.user_id = users.id ORDER BY users.id"
            ).fetchall()
        return [_row(*row) for row in rows]

    def _create(self, connection: sqlite3.Connection, *, client_id: str, username: str, name: str, now: float) -> None:
        inserted = connection.execute(
            "INSERT INTO users (client_id, display_id, username, name, referral_code, password_hash, role, status)"
            " VALUES (?, ?, ?, ?, ?, ?, 'user', 'active')",
            # Nobody knows this random password, so that a fast hash is enough.
            (client_id, client_id, username, name, _referral_code(now), _hash(secrets.token_hex(32))),
        )
        connection.execute("INSERT INTO wallets VALUES (?, 'USD', '0.00')", (inserted.lastrowid,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _referral_code(now: float) -> str:
    # 36^6 codes per year. A collision violates UNIQUE, and the answer is the documented 500.
    tail = "".join(secrets.choice(_REFERRAL_ALPHABET) for _ in range(6))
    return f"REF-{datetime.fromtimestamp(now, UTC).year:04d}-{tail}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _row(*row: Any) -> dict[str, Any]:
    names = ("id", "clientId", "displayId", "username", "name", "referralCode", "role", "status")
    return {
        **dict(zip(names, row[:8], strict=True)),
        "wallet": {"currency": row[8], "balance": row[9]},
        "tokens": {"issued": row[10], "used": row[11]},
    }
