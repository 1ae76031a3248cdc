"""Bedrock in a configuration: the preset, its two kinds of keys, and that no secret is shown."""

import pytest

from fastroute.config.load import parse_config
from fastroute.config.presets import presets
from fastroute.config.problems import ConfigError
from fastroute.config.resolve import resolve
from fastroute.config.zero import config_from_env
from fastroute.core.types import Endpoint
from fastroute.dialects.bedrock_converse import BedrockDialect
from fastroute.dialects.openai_chat import OpenAIChatApi

ENV = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "very/secret+", "AWS_REGION": "eu-west-1"}
REQUEST = OpenAIChatApi().decode(b'{"model":"a","messages":[{"role":"user","content":"hi"}]}', "r1", 0.0)
ADDRESS = 'base_url: "https://bedrock-runtime.${AWS_REGION}.amazonaws.com"'
SIGNED = 'auth: sigv4, api_key: "${AWS_ACCESS_KEY_ID}:${AWS_SECRET_ACCESS_KEY}:${AWS_SESSION_TOKEN:-}"'


def place(provider: str, env: dict[str, str] = ENV) -> Endpoint:
    text = f"""
version: 1
providers: {{bedrock: {{{provider}}}}}
endpoints: {{a: {{provider: bedrock, model: "anthropic.claude:0"}}}}
routes: {{auto: {{tiers: [[a]]}}}}
"""
    return resolve(parse_config(text, env=env), lambda preset, model: None).endpoints["a"]


def test_an_access_key_from_the_environment() -> None:
    found = place(f"{ADDRESS}, {SIGNED}")
    sent = BedrockDialect(lambda: 1.0).encode(REQUEST, found)
    assert sent.url == "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude%3A0/converse"
    assert "Credential=AKIDEXAMPLE/19700101/eu-west-1/bedrock/" in dict(sent.headers)["authorization"]
    assert "x-amz-security-token" not in dict(sent.headers), "an empty token is none"
    found = place(f"{ADDRESS}, {SIGNED}", {**ENV, "AWS_SESSION_TOKEN": "tok"})
    assert dict(BedrockDialect(lambda: 1.0).encode(REQUEST, found).headers)["x-amz-security-token"] == "tok"
    for shown in (repr(found), str(found), repr(sent)):
        assert "secret" not in shown


def test_a_bedrock_key_is_a_bearer_token() -> None:
    sent = BedrockDialect(lambda: 1.0).encode(REQUEST, place(f"{ADDRESS}, api_key: key"))
    assert dict(sent.headers) == {"content-type": "application/json", "authorization": "Bearer key"}


def test_a_start_from_the_environment_needs_the_address_too() -> None:
    assert config_from_env({"AWS_BEARER_TOKEN_BEDROCK": "key"}) is None
    address = "https://bedrock-runtime.us-east-1.amazonaws.com"
    config = config_from_env({"AWS_BEARER_TOKEN_BEDROCK": "key", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": address})
    assert config is not None
    assert config.providers["bedrock"].base_url == address


def test_the_address_must_be_given() -> None:
    with pytest.raises(ConfigError, match="needs 'base_url'"):
        place("api_key: key")
    assert presets()["bedrock"].profile.auth == "bearer"


@pytest.mark.parametrize("provider", ["preset: openai", 'preset: bedrock, dialect: openai_chat, base_url: "http://x"'])
def test_an_access_key_is_given_to_nobody_else(provider: str) -> None:
    with pytest.raises(ConfigError, match="'sigv4' is for Bedrock only"):
        place(f'{provider}, auth: sigv4, api_key: "a:b"')
