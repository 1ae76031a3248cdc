"""The progress bar: redrawn on a terminal, a line a scenario elsewhere."""

import io

from bench.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_it_is_a_line_a_scenario() -> None:
    out = io.StringIO()
    progress = Progress(10.0, out)
    progress.say("a: round 1/2, nginx", 2.5)
    progress.say("a: round 2/2, nginx", 2.5)
    progress.say("b: round 1/1, nginx", 5.0)
    progress.close()
    assert out.getvalue() == "[  0%] a\n[ 50%] b\n"


def test_on_a_terminal_it_is_redrawn_and_removed() -> None:
    out = Terminal()
    progress = Progress(10.0, out)
    progress.say("a: round 1/2, nginx", 5.0)
    progress.say("a: round 2/2, nginx", 5.0)
    progress.close()
    drawn = out.getvalue().split("\r")
    assert len(drawn) == 4
    assert "a: round 2/2, nginx" in drawn[2]
    assert drawn[2].count("#") == drawn[2].count(".") == 15
    assert drawn[3] == "\033[K"


def test_it_does_not_pass_the_end() -> None:
    out = Terminal()
    progress = Progress(1.0, out)
    for _ in range(5):
        progress.say("a: more than expected", 1.0)
    assert "100%" in out.getvalue()
    assert "125%" not in out.getvalue()
