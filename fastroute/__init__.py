"""fastroute: a sidecar that sends each chat request to the cheapest endpoint expected to meet its objectives.

`Router`, `Config` and `load_config` are imported on first use, so that `fastroute --help` stays quick.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Config", "Router", "__version__", "load_config"]

if TYPE_CHECKING:
    from fastroute.config.load import load_config
    from fastroute.config.schema import Config
    from fastroute.engine.router import Router


def __getattr__(name: str) -> Any:
    if name == "Router":
        from fastroute.engine.router import Router

        return Router
    if name == "Config":
        from fastroute.config.schema import Config

        return Config
    if name == "load_config":
        from fastroute.config.load import load_config

        return load_config
    raise AttributeError(f"module 'fastroute' has no attribute {name!r}")
