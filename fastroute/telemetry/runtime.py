"""What the process itself holds: tasks, requests, objects. For operators who look for a leak, and for `bench.soak`.

Theory of operation. Counting objects by type collects garbage first, so that only what is referred to is counted; both stop the
event loop, for some tens of milliseconds per hundred thousand objects. So it is done only where it is asked for. Objects made
before the port opened are frozen by `app.serve_until` and are not counted.
"""

import asyncio
import gc
from collections import Counter
from typing import Any


def runtime(types: int = 0) -> dict[str, Any]:
    """How many tasks the running loop has, and what the garbage collector says.

    `types`: how many of the most frequent types of objects to count; 0 counts none and costs nothing. With it goes how many
    objects were `collected` first: what lay in circles that nobody needed any more.
    """
    tasks = asyncio.all_tasks()
    told: dict[str, Any] = {"tasks": len(tasks), "gc": {"counts": gc.get_count(), "frozen": gc.get_freeze_count()}}
    if types:
        told["gc"]["collected"] = gc.collect()
        told["types"] = dict(_types().most_common(types))
    return told


def _types() -> Counter[str]:
    classes = Counter(map(type, gc.get_objects()))
    return Counter({f"{cls.__module__}.{cls.__qualname__}": n for cls, n in classes.items()})
