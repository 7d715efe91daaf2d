"""The parts of `CallLine`."""
