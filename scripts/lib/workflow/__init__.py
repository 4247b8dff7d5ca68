"""How a run and its jobs work: settings, plan, jobs and processes."""
