"""Many turns with faults, in a process of its own."""
