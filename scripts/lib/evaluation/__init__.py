"""Compare detected boxes with true ones or with other runs."""
