"""All writes to accounts: login, sessions, passwords, profiles, deletion; and the export of a user's data."""
