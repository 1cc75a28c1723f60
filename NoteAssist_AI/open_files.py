"""Each connection is an open file, of which the soft limit often allows 1024: a server that runs out of them dies."""

import resource

RESERVED = 500
"""Files that a process opens for itself: its pools, its log, its code."""


def connections_allowed(wanted: int) -> int:
    """Raise this process's limit for ``wanted`` connections; as many of them as the hard limit leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVED
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - RESERVED
