"""A configuration file that is not in force: read so that a reload to it can be planned."""

import os
import stat
from dataclasses import replace
from pathlib import Path

from tokend.config import Config, InvalidConfigError
from tokend.files import Level, UntrustedError, require_safe
from tokend.kinds import load_config
from tokend.values.errors import ConfigError

LARGEST_BYTES = 1024 * 1024


def load_planned(path: Path) -> Config:
    """Read and validate the file at ``path``, an absolute path that root or the daemon's user gave. Blocks.

    Raises `ConfigError` where the file is no regular one, has more than 1 MiB, is not trusted, or has errors. The
    errors have no excerpt: the file may be anything.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path}: it is no regular file")
        if status.st_size > LARGEST_BYTES:
            raise ConfigError(f"{path}: it has {status.st_size} bytes, and at most {LARGEST_BYTES} are planned")
        require_safe(path, foreign=Level.UNSAFE)
    except UntrustedError as error:
        raise ConfigError(f"{path}: unsafe path: {error.strerror}") from None
    except OSError as error:
        who = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
        why = f"the daemon runs as {who}, and its unit may hide /home and /tmp from it"
        raise ConfigError(f"{path}: the daemon cannot read it: {error.strerror}; {why}") from None
    try:
        return load_config(path)
    except InvalidConfigError as error:
        raise InvalidConfigError([replace(one, excerpt="", caret=0) for one in error.errors]) from None
