"""Reserved descriptors."""

import subprocess
import sys
from pathlib import Path

from tests.files.children import environment


def test_a_process_without_descriptors_still_publishes(tmp_path: Path) -> None:
    """docs/promises.md 61: a reserve is given up to the write, and taken back for the next one."""
    code = (
        "import os, pathlib, resource, sys\n"
        "from tokend.files import read_version, replace_file, replace_private\n"
        "from tokend.files.ownership import Ownership\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "replace_private(path, b'0')\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "taken = []\n"
        "try:\n"
        "    while True: taken.append(os.open(os.devnull, os.O_RDONLY))\n"
        "except OSError: pass\n"
        "for number in range(1, 4):\n"
        "    version = read_version(path)\n"
        "    replace_file(path, b'%d' % number, Ownership(mode=0o600), edited=version)\n"
        "    try: os.open(os.devnull, os.O_RDONLY)\n"
        "    except OSError as error: taken.append(error.errno)\n"
    )
    path = tmp_path / "token"
    subprocess.run([sys.executable, "-c", code, path], env=environment(), check=True)
    assert path.read_bytes() == b"3"
