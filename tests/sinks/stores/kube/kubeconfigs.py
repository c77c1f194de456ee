"""A kubeconfig for tests, as `kubectl config view --raw -o json` prints one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def written(path: Path, *, cluster: Mapping[str, Any] | None = None, user: Mapping[str, Any] | None = None,
            **more: Any) -> Path:  # fmt: skip
    """Write a kubeconfig with one context."""
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
                     {"name": "other", "context": {"cluster": "gone", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://cluster.example:6443", **(cluster or {})}}],
        "users": [{"name": "u", "user": dict(user or {"token": "planted-fake-token"})}],
        **more,
    }  # fmt: skip
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return path
