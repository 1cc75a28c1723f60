"""Rate limits per user, or per IP address for requests that are not signed in."""

from NoteAssist_AI import env


def rates() -> dict[str, str | None]:
    """The limit of each scope, read from the environment; None: no limit."""
    return {
        "burst": env.rate("THROTTLE_BURST", "60/min"),
        "sustained": env.rate("THROTTLE_SUSTAINED", "1000/day"),
        "ai_tools": env.rate("THROTTLE_AI_TOOLS", "20/hour"),
        "poll": env.rate("THROTTLE_POLL", "120/min"),
        "study": env.rate("THROTTLE_STUDY", "120/min"),
        "forecasts": env.rate("THROTTLE_FORECASTS", "20/min"),
        "calendars": env.rate("THROTTLE_CALENDARS", "60/min"),
        "login": env.rate("THROTTLE_LOGIN", "10/min"),
        "files": env.rate("THROTTLE_FILES", "600/min"),
        "shares": env.rate("THROTTLE_SHARES", "120/min"),
    }
