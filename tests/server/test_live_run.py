"""The live half of the check, for three seconds: real processes, real sockets, the world's faults."""

from bench.live_plan import fixed_trace
from bench.live_run import run_live
from fastroute.sim.command import route_of
from fastroute.sim.traces import Row, Trace
from fastroute.sim.worldfile import SHIPPED, EndpointWorld, Fault, World

QUICK = EndpointWorld(ttft_ms=20, sigma=0.1, tpot_ms=1)
DOWN = Fault("down", 1.0, 60.0, ("nano",), how="refuse")


def test_requests_are_sent_judged_charged_and_led_around_a_fault(tmp_path):
    config = SHIPPED / "five-endpoints.yaml"
    rows = Trace(tuple(Row(float(i), 200, 10) for i in range(4)), name="even")
    trace = fixed_trace(rows, 20.0, 3.0, 4)
    live = run_live(config, route_of(config, None), World(default=QUICK, faults=(DOWN,)), trace, 1, tmp_path)
    assert len(live.seen) == len(trace.rows) >= 50
    cut = [s for s in live.seen if not s.met]  # under way when the endpoint went down
    assert [s for s in cut if not (0.5 < s.at_s < 1.1 and s.failure == "closed early")] == []
    assert len(cut) <= 3
    assert all(s.met is s.met_by_log for s in live.seen)
    assert all(s.ttft_s is not None and s.ttft_s <= s.total_s for s in live.seen if s.met)
    firsts = [(s.at_s, s.tried) for s in live.seen]
    assert any(at_s < 1.1 and "nano" in tried for at_s, tried in firsts)
    assert all("nano" not in tried or len(tried) == 2 for at_s, tried in firsts if at_s > 1.3)
    assert live.bill["total_usd"] > 0.0
    assert sum(bill["input_tokens"] for bill in live.bill["by_endpoint"].values()) > 0
    assert abs(sum(s.cost_usd or 0.0 for s in live.seen) - live.bill["total_usd"]) < 0.2 * live.bill["total_usd"]
