"""`POST /v1/transcribe`: one recording, with its options in headers."""

from __future__ import annotations

from ..endpoint import Endpoint
from ..fields import (
    CONSTRAINTS,
    INTENT,
    LANGUAGE_PATTERN,
    check_content_type,
    check_json_header,
)
from ..limits import MAX_AUDIO_BYTES, MAX_KEYWORDS, MAX_PROMPT_CHARS
from ..request import GatewayRequest
from ..shapes import list_of, matching, record, text, text_up_to
from ..wav import check_wav

OPTIONS = record(
    {
        "keywords": list_of(text, most=MAX_KEYWORDS),
        "language": matching(
            f"{LANGUAGE_PATTERN}|auto|multi", 'a language such as "en" or "en-US", auto or multi'
        ),
        "prompt": text_up_to(MAX_PROMPT_CHARS),
    }
)


def _check(request: GatewayRequest) -> None:
    headers = request.headers
    check_content_type(headers, "audio/wav", "audio/x-wav", "audio/wave")
    check_json_header(headers, "X-Speko-Intent", INTENT, required=True)
    check_json_header(headers, "X-Speko-Constraints", CONSTRAINTS)
    check_json_header(headers, "X-Speko-Stt-Options", OPTIONS)
    check_wav(request.body)


ENDPOINT = Endpoint(
    "transcribe", "POST", "/v1/transcribe", check=_check, max_body_bytes=MAX_AUDIO_BYTES
)
