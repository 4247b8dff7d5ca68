"""How a job runs: its arguments, log, secrets, sandbox and failures."""
