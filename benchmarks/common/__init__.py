"""What the benchmarks share: the gateway, the clients compared, a call in real time, the report."""
