"""Xerve's balance, credit, debit and transactions of a user. The signature is checked in `xerve`.

The vendor's page for these endpoints is not public: names of fields follow the documented endpoint.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.vendors.xerve_database import Movement, XerveDatabase

BALANCE, CREDIT = "/api/v1/get-balance", "/api/v1/credit-balance"
DEBIT, TRANSACTIONS = "/api/v1/debit-balance", "/api/v1/get-transactions"
# Method of each path.
METHODS: Mapping[str, str] = {BALANCE: "GET", CREDIT: "POST", DEBIT: "POST", TRANSACTIONS: "GET"}
LARGEST_AMOUNT = Decimal("1000000000")


class XerveBalance:
    """The four endpoints. A GET has its fields in the query, a POST in its JSON body."""

    def __init__(self, clock: SandboxClock, database: XerveDatabase) -> None:
        self._clock = clock
        self._database = database

    def answer(self, request: Request) -> Reply:
        """Answer a request whose signature was accepted."""
        if METHODS[request.path] == "GET":
            client = next(iter(request.parameters("clientId")), "")
            return self._shown(request.path, client)
        body = request.json_object(verbatim_numbers=True) or {}
        amount, named = _amount(body.get("amount")), body.get("clientId")
        client = named if isinstance(named, str) else ""
        errors: dict[str, list[str]] = {}
        if not client.strip():
            errors["clientId"] = ["The clientId field is required."]
        if amount is None:
            errors["amount"] = ["The amount must be a number greater than 0 with at most 2 decimals."]
        if errors or amount is None:
            return _failed(400, "Validation failed", {"errors": errors})
        change = amount if request.path == CREDIT else -amount
        moved = self._database.move(client, change, now=self._clock.now())
        if isinstance(moved, str):
            return _failed(404, "User not found") if moved == "unknown" else _failed(400, "Insufficient balance")
        done = "credited" if change > 0 else "debited"
        data = {"clientId": client, "balance": moved.balance, "currency": "USD", "transaction": _shape(moved)}
        return _success(f"Balance {done} successfully", data)

    def _shown(self, path: str, client: str) -> Reply:
        if not client.strip():
            return _failed(400, "Validation failed", {"errors": {"clientId": ["The clientId field is required."]}})
        balance = self._database.balance(client)
        if balance is None:
            return _failed(404, "User not found")
        if path == BALANCE:
            data: dict[str, Any] = {"clientId": client, "balance": balance, "currency": "USD"}
            return _success("Balance retrieved successfully", data)
        data = {"clientId": client, "transactions": [_shape(one) for one in self._database.movements(client)]}
        return _success("Transactions retrieved successfully", data)


def _amount(value: object) -> Decimal | None:
    """Read an amount: a JSON number (kept as text) or a numeric string, above 0, with at most two decimals."""
    try:
        amount = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        return None
    usable = amount.is_finite() and 0 < amount <= LARGEST_AMOUNT and amount == amount.quantize(Decimal("0.01"))
    return amount if usable else None


def _shape(movement: Movement) -> dict[str, Any]:
    at = datetime.fromtimestamp(movement.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"id": movement.id, "type": movement.kind, "amount": movement.amount, "balance": movement.balance,
            "createdAt": at}  # fmt: skip


def _success(message: str, data: object) -> Reply:
    return json_reply(200, {"status": "success", "message": message, "data": data})


def _failed(status: int, message: str, data: object = None) -> Reply:
    return json_reply(status, {"status": "failed", "message": message, "data": data})
