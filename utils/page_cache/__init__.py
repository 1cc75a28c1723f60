"""The page cache: rendered responses of one user, never older than that user's last write.

A *cached page* is the body and the ETag of one GET response. The whole protocol:

**Reading.** A page's key consists of the global *epoch*, its user's *token* and the page's name. Epoch and token are
random. A reader gets them before it reads the database. So if a write happens meanwhile, the reader stores its page
under a key that is not looked up any more. Of the readers that miss a page at the same time, one holds the *fill lock*
and renders it; the others wait for it for up to 0.3 s.

**Writing.** Before its transaction a writer adds a *writer marker* with a deadline to the user's set of writers, and
sets a new token. While there is a marker, readers bypass the cache and store nothing. After COMMIT the writer removes
its marker and sets another token. A writer that dies in between leaves no stale page: readers bypass the cache until
the marker's deadline, and no page exists under the token that it set.

**Without Redis.** A writer's commands are sent whether or not the breaker is open, and tried twice within half a
second. A writer that cannot reach Redis commits nevertheless. Its transaction then records a *pending epoch bump*, and
its process uses no page until it has set a new epoch, which makes all pages of all users unreachable. A thread of the
process tries that every half second; if the process dies, a worker finds the row. Until then other processes may show a
page from before the write. This is the only exception to the promise above.

**Budget.** A user has at most 20 stored pages, and all pages together at most ``PAGE_CACHE_BYTES``. What is stored is
kept in books without a TTL, so pages never fill the memory that sessions, limits and strikes need.

``keys`` has the names in Redis, ``lookup`` finds and stores pages, ``invalidation`` has the functions for writers, and
``fast_reads`` defines which actions of which views are cached.
"""
