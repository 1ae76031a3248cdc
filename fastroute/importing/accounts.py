"""From a deployment's parameters to a provider: one for each different address, key and way of speaking."""

import re
from typing import Any, NamedTuple

from fastroute.config.presets import presets
from fastroute.config.references import url_complaint
from fastroute.config.schema import Provider
from fastroute.importing.remarks import At, Remarks
from fastroute.importing.values import complaint, is_literal, text_of
from fastroute.importing.vendors import VENDORS, Vendor, family, host_of, preset_at, split_model

ACCOUNT_KEYS = (
    *("api_key", "api_base", "base_url", "api_version", "organization", "region_name", "extra_headers", "headers"),
    *("model", "custom_llm_provider", "vertex_project", "vertex_location", "vertex_ai_project", "vertex_ai_location"),
    *("azure_ad_token", "litellm_credential_name"),
)
"""Keys of `litellm_params` that are read here; every other one is somebody else's."""

_FOUNDRY_VERSION = "2024-05-01-preview"
_LONGEST_NAME = 60
Said = dict[str, At]


class Place(NamedTuple):
    """A model at a provider of the new configuration."""

    provider: str
    model: str


class Accounts:
    """Names providers as they are met; the same account is met many times."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        self.providers: dict[str, dict[str, Any]] = {}

    def place(self, params: At, said: Said, hint: str | None) -> Place | None:
        """The provider of a deployment and its model there. None, with a remark, where nothing here speaks to it.

        `hint`: the name that clients already use as a prefix, which the provider gets if it is free.
        """
        model_at = said.get("model")
        model = text_of(model_at, self._remarks)
        if model_at is None or model is None:
            self._remarks.unmapped(params, "a deployment without a model", "nothing is made of it")
            return None
        prefix, name = self._split(model_at, model, said)
        vendor = VENDORS.get(prefix) if prefix is not None else None
        if vendor is None or vendor.preset is None or vendor.preset not in presets():
            why = vendor.why if vendor is not None and vendor.why else "no preset is known for this provider"
            self._remarks.unmapped(
                model_at, f"{why}; the deployment is left out", "if it has OpenAI's API, use preset openai-compatible"
            )
            return None
        made = self._provider(model_at, name, vendor, said)
        return None if made is None else Place(self._named(made, hint), name)

    def _split(self, at: At, model: str, said: Said) -> tuple[str | None, str]:
        prefix, name = split_model(model, text_of(said.get("custom_llm_provider"), self._remarks))
        if prefix is not None:
            return prefix, name
        guess = family(model)
        if guess is None and ("api_base" in said or "base_url" in said):
            guess = "custom_openai"
        if guess is not None:
            self._remarks.approximate(at, f"no provider prefix; taken as {guess}/", "put it right if that is wrong")
        return guess, name

    def _provider(self, at: At, model: str, vendor: Vendor, said: Said) -> dict[str, Any] | None:
        """The account as a section of our file; None, with a remark, where its address is missing or wrong."""
        preset = self._preset(at, model, vendor, said)
        base_url = self._base_url(preset, vendor, said)
        default = presets()[preset].base_url
        if base_url is None and default is None:
            self._remarks.unmapped(at, f"preset {preset} needs an address; the deployment is left out", "give api_base")
            return None
        if base_url is not None and (wrong := _url_wrong(base_url)):
            self._remarks.unmapped(at, f"its address {wrong}; the deployment is left out")
            return None
        made: dict[str, Any] = {"preset": preset}
        if base_url is not None and base_url.rstrip("/") != default:
            made["base_url"] = base_url
        self._put_key(made, at, vendor, said)
        self._put_version(made, at, said)
        for ours, theirs in (("organization", "organization"), ("region", "region_name")):
            self._put(made, ours, said.get(theirs))
        for theirs in ("headers", "extra_headers"):
            self._put_headers(made, said.get(theirs))
        return made

    def _preset(self, at: At, model: str, vendor: Vendor, said: Said) -> str:
        preset = str(vendor.preset)
        if preset == "vertex":
            return "vertex-claude" if model.startswith("claude") else preset
        base = said.get("api_base") or said.get("base_url")
        if preset not in ("openai", "openai-compatible") or base is None or not isinstance(base.value, str):
            return preset
        found = preset_at(base.value)
        if found is None and preset == "openai" and "/" not in base.value:
            found = preset  # the whole address comes from the environment, or is none
        chosen = found or "openai-compatible"
        if chosen != preset and found is not None:
            self._remarks.approximate(base, f"this is the address of {chosen}, so its preset is used")
        return chosen

    def _base_url(self, preset: str, vendor: Vendor, said: Said) -> str | None:
        base = said.get("api_base") or said.get("base_url")
        url = text_of(base, self._remarks)
        if url is None and preset.startswith("vertex"):
            return self._vertex_url(said)
        if url is None and presets()[preset].base_url is None and vendor.base_env:
            return f"${{{vendor.base_env}}}"
        if url is not None and base is not None and preset == "ollama" and re.fullmatch(r"https?://[^/]+/?", url):
            self._remarks.approximate(base, "Ollama's OpenAI-compatible API is used, so /v1 is added to the address")
            return url.rstrip("/") + "/v1"
        return url

    def _vertex_url(self, said: Said) -> str | None:
        project = text_of(said.get("vertex_project") or said.get("vertex_ai_project"), self._remarks)
        location = text_of(said.get("vertex_location") or said.get("vertex_ai_location"), self._remarks)
        if project is None or location is None:
            return None
        host = "aiplatform" if location == "global" else f"{location}-aiplatform"
        return f"https://{host}.googleapis.com/v1/projects/{project}/locations/{location}"

    def _put_key(self, made: dict[str, Any], at: At, vendor: Vendor, said: Said) -> None:
        """The key as it was written; else from the variable that LiteLLM reads unasked."""
        key_at = said.get("api_key") or said.get("azure_ad_token")
        if key_at is not None:
            if self._put(made, "api_key", key_at) and is_literal(made["api_key"]):
                self._remarks.secret(key_at)
            if "api_key" not in said and "api_key" in made:
                made["auth"] = "bearer"
            return
        preset = presets()[made["preset"]]
        variable = vendor.key_env or preset.key_env
        if variable is None or preset.local:
            return
        made["api_key"] = f"${{{variable}}}"
        self._remarks.approximate(at, f"no api_key; written as ${{{variable}}}, where it is read from without being asked")
        if made["preset"].startswith("vertex"):
            self._remarks.unmapped(at, "Google's sign-in is not done here", f"keep an access token in {variable}")

    def _put_version(self, made: dict[str, Any], at: At, said: Said) -> None:
        version = said.get("api_version")
        if made["preset"] in ("azure", "azure-foundry"):
            self._put(made, "api_version", version)
        elif version is not None:
            self._remarks.unmapped(version, f"preset {made['preset']} has no versions")
        if made["preset"] == "azure-foundry" and "api_version" not in made:
            made["api_version"] = _FOUNDRY_VERSION
            self._remarks.approximate(at, f"no api_version; written as {_FOUNDRY_VERSION}")

    def _put(self, made: dict[str, Any], key: str, at: At | None) -> bool:
        value = text_of(at, self._remarks)
        if at is None or value is None:
            return False
        if wrong := complaint(Provider, key, value):
            self._remarks.unmapped(at, f"not a value that {key} can have: {wrong}")
            return False
        made[key] = value
        return True

    def _put_headers(self, made: dict[str, Any], at: At | None) -> None:
        for name, header in at.members() if at is not None else ():
            value = text_of(header, self._remarks)
            if value is None:
                continue
            if wrong := complaint(Provider, "headers", {name: value}):
                self._remarks.unmapped(header, f"not a header: {wrong}" if name.isprintable() else "not a header")
                continue
            made.setdefault("headers", {})[name] = value
            if is_literal(value):
                self._remarks.secret(header)

    def _named(self, made: dict[str, Any], hint: str | None) -> str:
        """The name of this account: the one it has, else a new one."""
        known = next((name for name, other in self.providers.items() if other == made), None)
        if known is not None:
            return known
        wanted = (hint, made["preset"], _by_host(made))
        name = next((n for n in wanted if n and n not in self.providers), None)
        number = 2
        while name is None or name in self.providers:
            name = f"{made['preset']}-{number}"
            number += 1
        self.providers[name] = made
        return name


def _by_host(made: dict[str, Any]) -> str | None:
    """`azure-myresource` for https://myresource.openai.azure.com."""
    host = host_of(made.get("base_url", ""))
    if host is None or "$" in host:
        return None
    label = host if re.fullmatch(r"[0-9.:]+", host) else host.split(".")[0]
    tidy = re.sub(r"[^A-Za-z0-9-]", "-", label)[: _LONGEST_NAME - len(made["preset"]) - 1].strip("-")
    return f"{made['preset']}-{tidy}" if tidy else None


def _url_wrong(url: str) -> str | None:
    """Why an address cannot be used; one with a variable in it is filled in first."""
    filled = re.sub(r"\$\{[^{}]*\}", lambda match: "http://x.example" if match.start() == 0 else "x", url)
    if wrong := url_complaint(filled):
        return wrong
    return complaint(Provider, "base_url", url)
