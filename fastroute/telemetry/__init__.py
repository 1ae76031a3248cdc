"""What an operator sees: metrics, one log line per request, the last requests. All of it read from the Trail."""
