"""Configured limits reach the endpoint; a simulated provider tells its own as real ones do."""

from engine_world import endpoint

from fastroute.config.load import parse_config
from fastroute.config.resolve import resolve
from fastroute.dialects.rate_headers import rate_limits
from fastroute.sim.traces import Row
from fastroute.sim.world import Provider, job_of
from fastroute.sim.worldfile import EndpointWorld

YAML = """
version: 1
providers: {sim: {preset: openai-compatible, base_url: "http://127.0.0.1:9/v1"}}
endpoints:
  a: {provider: sim, model: m, limits: {rpm: 60, tpm: 90000}}
  b: {provider: sim, model: n, limits: {max_in_flight: 3}}
"""


def test_rpm_and_tpm_reach_the_endpoint():
    found = resolve(parse_config(YAML, "c.yaml", {}), lambda preset, model: None).endpoints
    assert (found["a"].requests_per_minute, found["a"].tokens_per_minute) == (60, 90_000)
    assert (found["b"].requests_per_minute, found["b"].tokens_per_minute, found["b"].max_in_flight) == (None, None, 3)


def test_a_simulated_provider_tells_its_limits_where_the_world_says_so():
    spec = EndpointWorld(requests_per_minute=60, tells_limits=True)
    provider = Provider(endpoint("a"), spec, (), 0, 1)
    told = rate_limits(provider.told(0.0), 0.0)
    assert told is not None
    assert told.requests is not None
    assert (told.requests.limit, told.requests.left) == (10.0, 10.0)
    for number in range(10):
        assert provider.receive(job_of(number, Row(0.0, 10, 10)), 0.0).status == 200
    told = rate_limits(provider.told(0.0), 0.0)
    assert told is not None
    assert told.requests is not None
    assert (told.requests.left, told.requests.full_in_s) == (0.0, 10.0)
    quiet = Provider(endpoint("a"), EndpointWorld(requests_per_minute=60), (), 0, 1)
    assert quiet.told(0.0) == {}
