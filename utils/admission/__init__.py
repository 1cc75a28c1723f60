"""Admission of requests: session state and rate limits, checked in one round trip to Redis."""
