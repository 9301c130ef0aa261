"""netwatch beside its peers, on the same packets, in one run: `python -m benchmarks --help`."""
