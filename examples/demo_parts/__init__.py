"""The parts of the demo: the call, its display on the screen, and its picture."""
