"""What a provider wants back with its reasoning, as the `encrypted_content` of a Responses item.

Rules. What is sealed here is opened here, whole and unchanged; what others sealed is of no use to anybody else and opens to
nothing. Nothing secret is in it: it is the client's own conversation.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec

Json = dict[str, Any]

MARK = "fastroute.1."
GOOGLE = "google_thought_signature"  # a block of ours: the signature of the call or text that follows


def seal(blocks: Sequence[Json]) -> str:
    """The blocks as one opaque text."""
    return MARK + base64.urlsafe_b64encode(msgspec.json.encode(blocks)).decode()


def opened(sealed: object) -> list[Json]:
    """The blocks in it; none where it is not ours or was changed."""
    if not isinstance(sealed, str) or not sealed.startswith(MARK):
        return []
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(sealed.removeprefix(MARK)), type=list[Json])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return []
