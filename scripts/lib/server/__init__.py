"""Calls to Tator through the official client, with timeouts, retries, and errors that name the remedy."""
