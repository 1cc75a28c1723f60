"""Every write to accounts: signing in, sessions, passwords, profiles, and leaving with one's data."""
