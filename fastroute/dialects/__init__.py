"""Sans-I/O wire translators. Client APIs and provider dialects meet in one canonical form (`canonical.py`)."""
