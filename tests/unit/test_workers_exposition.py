from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fastroute.telemetry import names
from fastroute.workers.exposition import Counts, Exposition, merged, rendered


def exposition(requests=0, seconds=(), in_flight=0, p_fail=0.0):
    registry = CollectorRegistry()
    counter = Counter("fastroute_requests", 'Requests, "quoted".', ["route", "class"], registry=registry)
    counter.labels('with "quotes" {and} spaces', "2xx").inc(requests)
    counter.labels("auto", "5xx").inc(1)
    histogram = Histogram("fastroute_total_seconds", "Time.", buckets=(0.1, 1.0), registry=registry)
    for value in seconds:
        histogram.observe(value)
    Gauge(names.IN_FLIGHT.name, "Now.", registry=registry).set(in_flight)
    Gauge("fastroute_endpoint_failure_ratio", "Share.", ["endpoint"], registry=registry).labels("a").set(p_fail)
    return generate_latest(registry).decode()


def values(text):
    """By sample name and labels, as a scraper reads it."""
    families = text_string_to_metric_families(text.decode())
    return {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}


REQUESTS = ("fastroute_requests_total", ("class", "2xx"), ("route", 'with "quotes" {and} spaces'))


def test_what_is_read_is_written_as_it_was():
    text = exposition(7, (0.05, 0.5, 5.0), 3, 0.125)
    assert rendered(Exposition(text)).decode() == text


def test_counters_and_histograms_add_up():
    both = values(rendered(merged([Exposition(exposition(7, (0.05, 5.0))), Exposition(exposition(5, (0.5,)))])))
    assert both[REQUESTS] == 12
    assert both["fastroute_total_seconds_bucket", ("le", "0.1")] == 1
    assert both["fastroute_total_seconds_bucket", ("le", "1.0")] == 2
    assert both["fastroute_total_seconds_bucket", ("le", "+Inf")] == both["fastroute_total_seconds_count",] == 3
    assert both["fastroute_total_seconds_sum",] == 5.55


def test_gauges_are_the_same_everywhere_but_for_what_each_counts():
    both = values(
        rendered(merged([Exposition(exposition(in_flight=3, p_fail=0.1)), Exposition(exposition(in_flight=4, p_fail=0.2))]))
    )
    assert both[names.IN_FLIGHT.name,] == 7
    assert both["fastroute_endpoint_failure_ratio", ("endpoint", "a")] == 0.1


def test_when_a_series_began_is_when_the_first_began():
    first, second = Exposition(exposition()), Exposition(exposition())
    key = 'fastroute_requests_created{class="5xx",route="auto"}'
    first.families["fastroute_requests_created"][2][key] = 5.0
    second.families["fastroute_requests_created"][2][key] = 3.0
    assert merged([first, second]).families["fastroute_requests_created"][2][key] == 3.0


def test_what_only_one_has_is_kept():
    one = exposition(1)
    other = one.replace('class="5xx"', 'class="4xx"') + "# HELP only_here x\n# TYPE only_here gauge\nonly_here 5.0\n"
    both = values(rendered(merged([Exposition(one), Exposition(other)])))
    assert both["fastroute_requests_total", ("class", "4xx"), ("route", "auto")] == 1
    assert both["only_here",] == 5


def test_sums_never_fall_when_a_worker_dies():
    counts = Counts()
    counts.take(0, 1, exposition(100, in_flight=2))
    counts.take(1, 1, exposition(50, in_flight=1))
    assert values(rendered(counts.total()))[REQUESTS] == 150
    counts.take(1, 2, exposition(3, in_flight=0))  # its successor
    total = values(rendered(counts.total()))
    assert total[REQUESTS] == 153
    assert total[names.IN_FLIGHT.name,] == 2
    counts.take(1, 2, exposition(4))
    counts.take(1, 3, exposition(1))
    assert values(rendered(counts.total()))[REQUESTS] == 155


def test_a_worker_that_does_not_answer_keeps_its_counts():
    counts = Counts()
    counts.take(0, 1, exposition(100))
    counts.take(1, 1, exposition(50))
    counts.take(0, 1, exposition(101))
    assert values(rendered(counts.total()))[REQUESTS] == 151


def test_nothing_is_an_empty_exposition():
    assert rendered(Counts().total()) == b""
    assert rendered(Exposition("# HELP a b\n\nnonsense\n")) == b""


def test_infinity_is_spelled_as_scrapers_want_it():
    text = "# TYPE g gauge\ng +Inf\n"
    assert rendered(Exposition(text)).decode() == text
