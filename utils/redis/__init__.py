"""Redis: the client, Lua scripts, pub/sub, and messages to the broker."""
