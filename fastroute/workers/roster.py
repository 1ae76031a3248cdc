"""Who is alive, who is to be started again and when, and how it all ends. Pure: processes and time are the caller's.

Rules. Until every member has been ready once, a death is a mistake in the configuration or the port: everything ends. After
that a member that dies is started again, at once if it had lived a while, else after 0.1 s x 2^k, at most 5 s. Once
stopping, nobody is started any more. The exit code is 0 where every last member ended with 0.
"""

import enum

import msgspec

LIVED_S = 5.0  # a member that lived so long did not die of its start
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0


class Phase(enum.Enum):
    """What the crew as a whole is doing."""

    STARTING = "starting"  # some were never ready yet
    SERVING = "serving"
    STOPPING = "stopping"


class Member(msgspec.Struct):
    """One place in the crew. `due_s`: when it is to be started, monotonic; None: it runs, or never will again."""

    due_s: float | None = 0.0
    pid: int | None = None
    started_s: float = 0.0
    ready: bool = False
    quick_deaths: int = 0
    code: int | None = None  # of its last process


class Roster:
    """The members by place, 0 up."""

    def __init__(self, places: int) -> None:
        self.members = [Member() for _ in range(places)]
        self.phase = Phase.STARTING

    def due(self, now_s: float) -> list[int]:
        """Places whose process is to be started now."""
        return [i for i, m in enumerate(self.members) if m.due_s is not None and m.due_s <= now_s]

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next start is due; None when none is."""
        times = [m.due_s for m in self.members if m.due_s is not None]
        return max(0.0, min(times) - now_s) if times else None

    def started(self, place: int, pid: int, now_s: float) -> None:
        member = self.members[place]
        member.pid, member.started_s, member.due_s, member.code = pid, now_s, None, None

    def is_ready(self, place: int) -> bool:
        """A member serves. True: with it the whole crew does, for the first time."""
        self.members[place].ready = True
        if self.phase is Phase.STARTING and all(m.ready for m in self.members):
            self.phase = Phase.SERVING
            return True
        return False

    def ended(self, pid: int, code: int, now_s: float) -> int | None:
        """A process ended with an exit code. Gives its place; None for a stranger."""
        place = next((i for i, m in enumerate(self.members) if m.pid == pid), None)
        if place is None:
            return None
        member = self.members[place]
        member.pid, member.code = None, code
        if self.phase is Phase.STARTING:
            self.stop()
        elif self.phase is Phase.SERVING:
            member.due_s = now_s + self._wait_s(member, now_s)
        return place

    def stop(self) -> None:
        """From here on nobody is started."""
        self.phase = Phase.STOPPING
        for member in self.members:
            member.due_s = None

    def pids(self, places: range | None = None) -> list[int]:
        """Of the processes that run."""
        members = self.members if places is None else [self.members[i] for i in places]
        return [m.pid for m in members if m.pid is not None]

    @property
    def exit_code(self) -> int:
        """The first code that is not 0; 1 stands for killed by a signal."""
        codes = [m.code for m in self.members if m.code]
        return next((code if code > 0 else 1 for code in codes), 0)

    def _wait_s(self, member: Member, now_s: float) -> float:
        if now_s - member.started_s >= LIVED_S:
            member.quick_deaths = 0
            return 0.0
        member.quick_deaths += 1
        return min(FIRST_WAIT_S * 2.0 ** (member.quick_deaths - 1), LONGEST_WAIT_S)
