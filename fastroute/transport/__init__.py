"""Upstream clients: they carry one request to a provider and its reply back. No retries, no time limits, no policy."""
