"""Signatures equal to botocore's, which is how AWS's own clients make them."""

import random
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from fastroute.core.types import UpstreamRequest
from fastroute.dialects.aws_sigv4 import Credentials, Scope, canonical_request, signed

NOW_S = 1_795_000_000.0
WHO = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SCOPE = Scope("us-east-1", "bedrock")
IDS = (
    "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5:0",
    "plain",
    "with space",
    "ünïcode",
    "a~b_c.d-e",
    "100%",
)


def generated(rng: random.Random) -> UpstreamRequest:
    """A request of the kind that is sent, and of kinds that are not."""
    model = quote(rng.choice(IDS), safe="")
    host = rng.choice(("bedrock-runtime.us-east-1.amazonaws.com", "localhost:8443", "proxy.example:9"))
    path = rng.choice((f"/model/{model}/converse", f"/model/{model}/converse-stream", "", "/", "/a//b/../c/./d/", f"/x/{model}/"))
    members = [(rng.choice("abcAZ-_.~"), "".join(rng.choices("ab :/+&=ü", k=rng.randrange(6)))) for _ in range(rng.randrange(4))]
    query = "?" + urlencode(members, quote_via=quote, safe="") if members else ""
    headers = {"content-type": "application/json"}
    if rng.random() < 0.5:
        headers["x-amz-tag"] = rng.choice(("  two   spaces ", "a", "x=1,y=2"))
    if rng.random() < 0.3:
        headers["user-agent"] = "not signed"
    body = rng.randbytes(rng.randrange(300))
    return UpstreamRequest(f"https://{host}{path}{query}", tuple(headers.items()), body)


def by_botocore(request: UpstreamRequest, who: Credentials, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    auth = pytest.importorskip("botocore.auth", reason="botocore is not installed: nothing to compare with")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Theirs

    monkeypatch.setattr(auth, "get_current_datetime", lambda *args, **kwargs: datetime.fromtimestamp(NOW_S, UTC))
    theirs: Any = AWSRequest(request.method, request.url, dict(request.headers), request.body)
    auth.SigV4Auth(Theirs(who.access_key_id, who.secret_access_key, who.token), scope.service, scope.region).add_auth(theirs)
    return {name.lower(): value for name, value in theirs.headers.items()}


def test_equal_to_botocore_on_200_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(4)
    for _ in range(200):
        request = generated(rng)
        token = "FwoGZXIvYXdzE/token+==" if rng.random() < 0.5 else None
        who = Credentials(WHO.access_key_id, WHO.secret_access_key, token)
        scope = Scope(rng.choice(("us-east-1", "eu-central-1")), "bedrock")
        theirs = by_botocore(request, who, scope, monkeypatch)
        ours = dict(signed(request, who, scope, NOW_S).headers)
        assert ours["authorization"] == theirs["authorization"], request
        assert ours["x-amz-date"] == theirs["x-amz-date"]
        assert ours.get("x-amz-security-token") == theirs.get("x-amz-security-token") == token


def test_the_vector_of_aws() -> None:
    """`get-vanilla` of AWS's Signature Version 4 test suite."""
    request = UpstreamRequest("https://example.amazonaws.com/", (), b"", method="GET")
    who = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    at_s = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
    headers = dict(signed(request, who, Scope("us-east-1", "service"), at_s).headers)
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


def test_trap_the_path_is_encoded_twice() -> None:
    request = UpstreamRequest("https://h/model/a%3A0/converse", (), b"")
    assert canonical_request(request, {"host": "h"}).split("\n")[1] == "/model/a%253A0/converse"


def test_every_byte_of_the_body_counts() -> None:
    def signature(body: bytes, at_s: float = NOW_S) -> str:
        return dict(signed(UpstreamRequest("https://h/", (), body), WHO, SCOPE, at_s).headers)["authorization"]

    assert signature(b"{}") == signature(b"{}")
    assert len({signature(b"{}"), signature(b"{ }"), signature(b"{}", NOW_S + 1), signature(b"{}", NOW_S + 86_400)}) == 4


def test_the_request_itself_is_as_it_was() -> None:
    request = UpstreamRequest("https://user@h:8443/x?y=1", (("content-type", "a"), ("user-agent", "u")), b"body", "PUT")
    sent = signed(request, WHO, SCOPE, NOW_S)
    assert (sent.url, sent.body, sent.method) == (request.url, request.body, request.method)
    headers = dict(sent.headers)
    assert (headers["host"], headers["user-agent"]) == ("h:8443", "u")
    assert "SignedHeaders=content-type;host;x-amz-date," in headers["authorization"]


def test_secrets_are_never_printed() -> None:
    rich = pytest.importorskip("rich.pretty")
    who = Credentials("AKIDEXAMPLE", "very-secret", "token-too")
    for text in (repr(who), str(who), f"{who}", rich.pretty_repr(who), rich.pretty_repr([who]), repr([who])):
        assert "very-secret" not in text
        assert "token-too" not in text
