"""A program for the Python of ccxt: sign the requests of its standard input, and print them as JSON.

ccxt is an independent client of exchanges. Nothing is sent. ``python ccxt_signer.py < requests.json``
"""

import importlib
import importlib.util
import json
import sys
import types
from typing import Any


def exchange(name: str, keys: dict[str, str], milliseconds: int) -> Any:
    """Return a client whose clock stands still."""
    made = getattr(importlib.import_module(f"ccxt.{name}"), name)(keys)
    # Coinbase Exchange counts in seconds.
    made.nonce = lambda: milliseconds // 1000 if name == "coinbaseexchange" else milliseconds
    made.incrementing_nonce = lambda: milliseconds
    return made


def main() -> None:
    """Sign and print."""
    # The package imports a hundred exchanges, which takes half a minute. Only its modules are needed.
    found = importlib.util.find_spec("ccxt")
    package = types.ModuleType("ccxt")
    package.__path__ = list(found.submodule_search_locations or ()) if found is not None else []
    package.__dict__["__version__"] = ""
    sys.modules["ccxt"] = package
    signed = []
    for one in json.load(sys.stdin):
        client = exchange(one["exchange"], one["keys"], one["milliseconds"])
        signed.append(client.sign(one["path"], one["api"], one["method"], one["params"]))
    sys.stdout.write(json.dumps(signed))


if __name__ == "__main__":
    main()
