"""The plan of a run: its files, which media share a job, and which jobs have to run again."""
