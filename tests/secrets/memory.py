"""Search of a process's memory: copies that are still in use, where the allocator overwrites what was freed."""

from collections.abc import Mapping
from pathlib import Path

# glibc: each freed block is filled with a pattern at once, and Python takes every object from glibc. So a copy that is
# found is one that something still holds.
OVERWRITES_WHAT_IS_FREED = {
    "PYTHONMALLOC": "malloc",
    "MALLOC_PERTURB_": "85",
    "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
}


def copies(pid: int, needles: Mapping[str, bytes]) -> dict[str, int]:
    """Count the copies of each needle in the writable memory of a process, those with none left out. Needs root."""
    found = dict.fromkeys(needles, 0)
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            addresses, rights, *_ = line.split()
            if not rights.startswith("rw") or line.endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(one, 16) for one in addresses.split("-"))
            try:
                memory.seek(start)
                content = memory.read(end - start)
            except OSError:
                continue  # unmapped meanwhile
            for name, needle in needles.items():
                found[name] += content.count(needle)
    return {name: count for name, count in found.items() if count}
