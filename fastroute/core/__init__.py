"""Nouns and ports that every other package shares. Stdlib and msgspec only; no clock, no I/O."""
