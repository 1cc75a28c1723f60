"""The limit of open files. Each connection is a file, and a server fails at the soft limit, which is often 1024."""

import resource

RESERVED = 500
"""Files that a process opens besides client connections: pools, log, code."""


def connections_allowed(wanted: int) -> int:
    """Raise this process's soft limit for ``wanted`` connections; return how many the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - RESERVED
