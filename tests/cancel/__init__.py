"""Calls cancelled at each turn of the loop."""
