"""One file for each kind of request, with an `ENDPOINT` that `LocalGateway` adds."""
