"""Keeps within a provider's rate limits before it has to say so: requests and tokens a minute, per account and model.

Rules. What is admitted counts at admission, not at completion: tokens as reserved (prompt and likely answer), settled when the
true number is known. No minute begins at :00: of a limit of so many a minute, no more are let through in any 60 s, and
no more than a sixth of them (or three) at once. What providers tell in headers is believed only where little is left, and
never exactly: others may share the key.

Theory of operation. A `Meter` keeps one configured limit: a bucket that fills at the limit's rate spreads requests, and the
counts of the last 61 seconds forbid that a full bucket and a minute's filling add up to more than the limit. A `Tide` is what
a provider told last: it holds what is left, and fills as the provider's own bucket does (OpenAI and Anthropic both tell how
long until it is full), less a tenth. Where a provider refuses and tells nothing, the rate that went well is kept to for
half a minute. A `Pacer` holds both kinds, for requests and for tokens.

What can go wrong. "What is left divided by the time to its reset" would starve a bucket that refills all the time thirtyfold;
taking all for buckets, a provider whose reset ends a fixed minute is paced too fast near its end, and answers 429 once: the
gate that follows holds.

Source: selection notes 2.9; pitfalls 30, 31; OpenAI's and Anthropic's pages on rate limits.
"""

import msgspec

MINUTE_S = 60
SLOTS = MINUTE_S + 1
AT_ONCE = 1.0 / 6.0  # of the limit of a minute: ten seconds' worth
ALWAYS_AT_ONCE = 3.0
LOW = 0.25  # left of the limit: from here on we count what is left, and read every reply's headers
LOOK_S = 1.0  # between two looks at headers, where much is left
SELDOM_S = 30.0  # between two looks, where they said nothing
CAUTION = 0.9
GUESS_S = 30.0  # for so long a rate is kept to that is guessed from a refusal
HOPE = 1.1
LONGEST_S = 120.0
TYPICAL_KEEP = 0.9
CRUMB = 1e-9


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """One limit as a provider tells it. `full_in_s`: seconds until all of it is there again."""

    limit: float
    left: float
    full_in_s: float


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What a reply's headers tell. None: nothing of use."""

    requests: Allowance | None = None
    tokens: Allowance | None = None


class Meter:
    """One configured limit. Mutable; times are monotonic seconds."""

    __slots__ = ("_at_s", "_counts", "_level", "_limit", "_most", "_per_s", "_second", "_total")

    def __init__(self, per_minute: float) -> None:
        self._limit, self._per_s = per_minute, per_minute / MINUTE_S
        self._most = max(min(per_minute, ALWAYS_AT_ONCE), per_minute * AT_ONCE)
        self._level, self._at_s = self._most, 0.0
        self._counts = [0.0] * SLOTS
        self._second, self._total = 0, 0.0

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until so much may be taken; 0.0: now. More than there ever is need only wait for all there is."""
        self._pass(now_s)
        lacking = min(amount, self._most) - self._level
        wait_s = lacking / self._per_s if lacking > CRUMB else 0.0
        over = self._total + min(amount, self._limit) - self._limit
        return max(wait_s, self._until_fewer_s(over, now_s)) if over > CRUMB else wait_s

    def take(self, amount: float, now_s: float) -> None:
        """Admitted, whether there was room or not."""
        self._pass(now_s)
        self._level -= amount
        self._counts[self._second % SLOTS] += amount
        self._total += amount

    def settle(self, more: float, taken_s: float, now_s: float) -> None:
        """So much more (below 0: less) was used than was taken at `taken_s`."""
        self._pass(now_s)
        self._level = min(self._most, self._level - more)
        if self._second - int(taken_s) < SLOTS:
            self._counts[int(taken_s) % SLOTS] += more
            self._total += more

    def _pass(self, now_s: float) -> None:
        """Time passes: the bucket fills, seconds fall out of the last minute."""
        if now_s <= self._at_s:
            return
        self._level = min(self._most, self._level + (now_s - self._at_s) * self._per_s)
        self._at_s, second = now_s, int(now_s)
        if second - self._second >= SLOTS:
            self._counts, self._total = [0.0] * SLOTS, 0.0
        for passed in range(self._second + 1, second + 1) if self._total else ():
            self._total -= self._counts[passed % SLOTS]
            self._counts[passed % SLOTS] = 0.0
        self._second = second

    def _until_fewer_s(self, amount: float, now_s: float) -> float:
        """Seconds until so much has fallen out of the last minute."""
        for age in range(MINUTE_S, 0, -1):
            amount -= self._counts[(self._second - age) % SLOTS]
            if amount <= CRUMB:
                return self._second - age + SLOTS - now_s
        return self._second + SLOTS - now_s


class Tide:
    """What a provider said is left, and how fast it comes back. Mutable. `guessed`: from a refusal, not told."""

    __slots__ = ("_at_s", "_level", "_most", "_per_s", "_until_s", "guessed")

    def __init__(self, told: Allowance, now_s: float, guessed: bool = False) -> None:
        self._most, self._level, self._at_s, self.guessed = told.limit, told.left, now_s, guessed
        self._per_s = max(1e-3, CAUTION * (told.limit - told.left) / max(1e-3, told.full_in_s))
        self._until_s = now_s + min(told.full_in_s, LONGEST_S)

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until so much may be taken; 0.0: now."""
        lacking = min(amount, self._most) - self._level - (now_s - self._at_s) * self._per_s
        return min(lacking / self._per_s, self._until_s - now_s) if lacking > CRUMB and now_s < self._until_s else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount


class Pacer:
    """All limits of one model of one account. Mutable; touched by the loop's thread only."""

    __slots__ = ("__weakref__", "_of_requests", "_of_tokens", "_tide", "_token_tide", "_typical", "binds", "look_s")

    def __init__(self, requests_per_minute: float | None = None, tokens_per_minute: float | None = None) -> None:
        self._of_requests = Meter(requests_per_minute) if requests_per_minute else None
        self._of_tokens = Meter(tokens_per_minute) if tokens_per_minute else None
        self._tide: Tide | None = None
        self._token_tide: Tide | None = None
        self._typical = 0.0  # tokens that a request takes, of late
        self.binds = self._of_requests is not None or self._of_tokens is not None  # False: nothing to ask, nothing to take
        self.look_s = 0.0  # from then on headers are worth a look

    def wait_s(self, now_s: float) -> float:
        """Seconds until one more request, of the usual size, may be sent; 0.0: now."""
        wait_s = self._of_requests.wait_s(1.0, now_s) if self._of_requests else 0.0
        if self._tide:
            wait_s = max(wait_s, self._tide.wait_s(1.0, now_s))
        if self._of_tokens:
            wait_s = max(wait_s, self._of_tokens.wait_s(self._typical, now_s))
        return max(wait_s, self._token_tide.wait_s(self._typical, now_s)) if self._token_tide else wait_s

    def take(self, tokens: float, now_s: float) -> None:
        """A request is sent. `tokens`: its prompt and likely answer."""
        self._typical += (1.0 - TYPICAL_KEEP if self._typical else 1.0) * (tokens - self._typical)
        for meter, amount in ((self._of_requests, 1.0), (self._of_tokens, tokens)):
            if meter:
                meter.take(amount, now_s)
        for tide, amount in ((self._tide, 1.0), (self._token_tide, tokens)):
            if tide:
                tide.take(amount)

    def settle(self, more_tokens: float, taken_s: float, now_s: float) -> None:
        """A request used so many more tokens (below 0: fewer) than it took at `taken_s`."""
        if self._of_tokens:
            self._of_tokens.settle(more_tokens, taken_s, now_s)

    def refused(self, per_s: float, from_s: float) -> None:
        """A rate-limit answer of one that tells nothing else: what went well of late is kept to for a while, from then on."""
        if self._tide is None or self._tide.guessed:
            guess = Allowance(max(1.0, per_s * GUESS_S * HOPE / CAUTION), 1.0, GUESS_S)
            self._tide = Tide(guess, from_s, guessed=True)
            self.binds = True

    def heard(self, reading: Reading | None, now_s: float) -> None:
        """What a reply's headers told; None: nothing of use."""
        self._tide = self._token_tide = None
        if reading is not None:
            self._tide, self._token_tide = _tide(reading.requests, now_s), _tide(reading.tokens, now_s)
        self.binds = any((self._of_requests, self._of_tokens, self._tide, self._token_tide))
        low = self._tide is not None or self._token_tide is not None
        self.look_s = now_s + (0.0 if low else LOOK_S if reading is not None else SELDOM_S)


def _tide(told: Allowance | None, now_s: float) -> Tide | None:
    """A tide, where little is left."""
    return Tide(told, now_s) if told is not None and told.left <= max(1.0, LOW * told.limit) else None
