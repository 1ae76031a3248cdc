"""A real HTTP server that stands in for several LLM providers at once, deterministic by seed, with faults and a bill."""
