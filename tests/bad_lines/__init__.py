"""Calls over bad lines, which Toxiproxy makes: for `make faults` only."""
