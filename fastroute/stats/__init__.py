"""Rolling statistics per endpoint, read by policy as frozen views."""
