"""A long day of calls of every kind, in a process of its own."""
