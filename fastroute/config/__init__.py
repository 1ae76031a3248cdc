"""A configuration file, checked with every mistake located, and resolved to the endpoints and routes of the core.

The way through: `load` -> `schema.Config` -> `resolve` -> `catalog.Catalog`. `zero` makes a `Config` from the environment.
"""
