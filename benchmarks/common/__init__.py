"""Shared by the benchmarks: the gateway, the clients compared, a call in real time, the report."""
