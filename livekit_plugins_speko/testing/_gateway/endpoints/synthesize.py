"""`POST /v1/synthesize`: a text to speak."""

from __future__ import annotations

from ..endpoint import Endpoint
from ..fields import CONSTRAINTS, INTENT, check_json_body
from ..limits import MAX_JSON_BYTES, MAX_TEXT_CHARS
from ..request import GatewayRequest
from ..shapes import boolean, number, record, string, text, text_up_to

_BODY = record(
    {
        "text": text_up_to(MAX_TEXT_CHARS),
        "intent": INTENT,
        "voice": text,
        "model": text,
        "speed": number(0.5, 2),
        "instructions": string,
        "spokenForm": boolean,
        "constraints": CONSTRAINTS,
    },
    required=("text", "intent"),
)


def _check(request: GatewayRequest) -> None:
    check_json_body(request.headers, request.body, _BODY)


ENDPOINT = Endpoint(
    "synthesize", "POST", "/v1/synthesize", check=_check, max_body_bytes=MAX_JSON_BYTES
)
