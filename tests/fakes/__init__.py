"""Providers' servers for tests: separate processes that take what the facts allow, nothing else."""
