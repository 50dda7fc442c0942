"""Cores and memory that this process may use, by affinity and by every control group around it.

The only place that asks: packing, drawing, launching, embedding and training call these functions.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from tmssl.system import CONTROL_GROUPS, OWN_GROUPS, allowed_cores

_NO_LIMIT = 1 << 60  # control groups of version 1 write a huge number for "no limit"


def usable_cores(root: Path = CONTROL_GROUPS, own_groups: Path = OWN_GROUPS) -> float:
    """Cores that this process may use: its affinity, or a lower CPU quota of a control group.

    Args:
        root: where the control groups are mounted, of version 2 or 1.
        own_groups: the file that names this process's group.
    """
    limits = [float(len(allowed_cores()))]
    for group in _groups(root, own_groups, "cpu"):
        quota = read_text(group / "cpu.max").split() or [
            read_text(group / "cpu.cfs_quota_us").strip(),
            read_text(group / "cpu.cfs_period_us").strip(),
        ]
        if len(quota) == 2 and all(number.isdecimal() for number in quota) and int(quota[1]):
            limits.append(int(quota[0]) / int(quota[1]))
    return min(limits)


def worker_count() -> int:
    """Processes worth starting for work that fills a core each: one per usable core, at least one."""
    return max(1, int(usable_cores()))


def usable_memory(root: Path = CONTROL_GROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """Bytes of RAM that this process may use: the machine's, or a lower limit of a control group."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for group in _groups(root, own_groups, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = read_text(group / name).strip()
            if limit.isdecimal() and int(limit) < _NO_LIMIT:
                limits.append(int(limit))
    return min(limits)


def memory_kills(root: Path = CONTROL_GROUPS, own_groups: Path = OWN_GROUPS) -> int:
    """How many processes the kernel has killed for memory in this process's control groups so far."""
    kills = [0]
    for group in _groups(root, own_groups, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            lines = map(str.split, read_text(group / name).splitlines())
            counts = [line[1] for line in lines if len(line) == 2 and line[0] == "oom_kill"]
            kills += [int(count) for count in counts if count.isdecimal()]
    return max(kills)


def read_text(path: Path) -> str:
    """A small system file; empty where there is none."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _groups(root: Path, own_groups: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's control groups for a controller, the innermost first, up to the mount.

    A line of /proc/self/cgroup is `0::/path` in version 2 and `4:cpu,cpuacct:/path` in version 1, whose
    groups are mounted under the name of the controller or of all of that line.
    """
    places = [(root, ""), (root / controller, "")]
    for line in read_text(own_groups).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            places.append((root, path))
        elif controller in controllers.split(","):
            places += [(root / controller, path), (root / controllers, path)]
    for mount, path in places:
        group = mount / path.lstrip("/")
        if ".." in group.parts:
            continue
        while group != mount:
            yield group
            group = group.parent
        yield mount
