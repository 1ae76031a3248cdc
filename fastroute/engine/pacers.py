"""One pacer for each model of each account, whatever endpoints share it, and the way from a reply's headers to it."""

from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from fastroute.core.types import Endpoint
from fastroute.policy.pacing import Pacer, Reading

Account = tuple[str, str, str | None]
ReadLimits = Callable[[Mapping[str, str], float], Reading | None]
"""(headers, wall clock) -> the limits they tell. See `dialects.rate_headers`."""


def account_of(endpoint: Endpoint) -> Account:
    """Whose quota an endpoint spends. Holds the key: never printed."""
    return endpoint.provider, endpoint.base_url, endpoint.key


class Pacers:
    """`read`: see `ReadLimits`. `share_ratio`: this process's part of every configured limit. Forgets what no endpoint uses."""

    def __init__(self, read: ReadLimits | None = None, share_ratio: float = 1.0) -> None:
        self.read, self._share_ratio = read, share_ratio
        self._by_place: WeakValueDictionary[tuple[Account, str], Pacer] = WeakValueDictionary()

    def of(self, endpoint: Endpoint) -> Pacer:
        """The pacer of the endpoint's account and model. Of endpoints that share it, the first one's limits count."""
        place = (account_of(endpoint), endpoint.model)
        pacer = self._by_place.get(place)
        if pacer is None:
            limits = (endpoint.requests_per_minute, endpoint.tokens_per_minute)
            pacer = self._by_place[place] = Pacer(*(n and n * self._share_ratio for n in limits))
            if self.read is None:
                pacer.look_s = float("inf")
        return pacer
