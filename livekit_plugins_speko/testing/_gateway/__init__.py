"""The parts of `LocalGateway`."""
