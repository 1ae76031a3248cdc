"""Mechanism: a request's life, one attempt, admission. Knows ports only; `app` injects what stands behind them."""
