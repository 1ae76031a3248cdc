"""Configurations of other routers, rewritten as ours, with a remark for everything that could not come along."""
