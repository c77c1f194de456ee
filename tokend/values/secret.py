"""`Secret`: a value that cannot be printed by accident."""

import hmac
from typing import NoReturn


class Secret:
    """Hold text or bytes that must not reach a log, an exception, a repr or a pickle.

    Only `reveal` and `reveal_bytes` return the value; `repr`, `str` and `format` show ``Secret(hidden)``. Equality
    takes constant time. Python cannot zero memory, so the value may stay in memory after its last use.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value

    def reveal(self) -> str:
        """Return the value as text. Raises ValueError (without the value) if it is not UTF-8."""
        try:
            return self._value.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("the secret is not UTF-8 text") from None

    def reveal_bytes(self) -> bytes:
        """Return the value as bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
