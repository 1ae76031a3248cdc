"""Benchmarks: what the router costs, beside other proxies, in one run. Numbers are ratios; the machine is shared."""
