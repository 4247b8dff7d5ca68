"""The official client, with time-outs, stated retries and errors that help."""
