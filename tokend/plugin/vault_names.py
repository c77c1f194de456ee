"""Names in Vault and OpenBao: mounts, paths and namespaces."""


def vault_names(value: str, *, in_header: bool) -> str:
    """Return names with / between them, without one at either end. Raises ValueError.

    ``in_header``: they are sent in a header.
    """
    parts = value.strip("/").split("/")
    if not value.isprintable() or any(part in {"", ".", ".."} for part in parts):
        raise ValueError("write names with / between them: team/app")
    if in_header and not value.isascii():
        raise ValueError("a namespace is ASCII: it is sent in a header")
    return "/".join(parts)
