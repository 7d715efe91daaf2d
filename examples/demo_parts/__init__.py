"""The parts of the demo: the call that is held, what the screen shows of it, and its picture."""
