"""Speech-to-text: the options of a recognizer and of a call, and the requests they make."""

from __future__ import annotations

from typing import Any

import pytest
import spekoai
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from livekit_plugins_speko import PipelineConstraints, Speko, __version__
from livekit_plugins_speko.testing import LocalGateway, Transcript
from tests.helpers.stt_calls import SPEECH, keywords_sent, make_stt

# Requests


async def test_every_option_is_sent(gateway: LocalGateway, client: Any) -> None:
    gateway.transcribe.script(Transcript("hello"))
    recognizer = make_stt(
        client,
        constraints=PipelineConstraints({"stt": ["deepgram:nova-3"], "llm": ["openai"]}),
        session_id=" session-1 ",
        keywords=["Spëko", "LiveKit"],
        stt_language="en-GB",
    )
    await recognizer.recognize(SPEECH)
    (request,) = gateway.requests
    assert request.intent == {"language": "en-US", "region": "global", "optimizeFor": "latency"}
    assert request.constraints == {
        "allowedProviders": {"stt": ["deepgram:nova-3"], "llm": ["openai"]}
    }
    assert request.stt_options == {"keywords": ["Spëko", "LiveKit"], "language": "en-GB"}
    assert request.session_id == "session-1"


@pytest.mark.parametrize("session_id", [None, "", "  "])
async def test_unset_options_are_not_sent(
    gateway: LocalGateway, client: Any, session_id: str | None
) -> None:
    gateway.transcribe.script(Transcript("hello"))
    recognizer = make_stt(client, intent={"language": "en"}, session_id=session_id, keywords=[])
    await recognizer.recognize(SPEECH)
    (request,) = gateway.requests
    assert request.intent == {"language": "en"}
    told = [name.lower() for name in request.headers if name.lower().startswith("x-")]
    assert told == ["x-speko-intent"]


async def test_header_json_is_compact_ascii(gateway: LocalGateway, speko: Speko) -> None:
    gateway.transcribe.script(Transcript("hello"))
    await make_stt(speko, keywords=["Spëko", "名"]).recognize(SPEECH)
    headers = gateway.requests[0].headers
    assert headers["X-Speko-Stt-Options"] == '{"keywords":["Sp\\u00ebko","\\u540d"]}'
    assert " " not in headers["X-Speko-Intent"]
    assert headers["User-Agent"] == f"livekit-plugins-speko/{__version__}"


@pytest.mark.parametrize(
    ("asked", "stt_language", "told", "heard"),
    [
        (NOT_GIVEN, None, None, "en-US"),
        ("", None, None, "en-US"),
        ("de", None, "de", "de"),
        (NOT_GIVEN, "en-GB", "en-GB", "en-US"),
        ("de", "en-GB", "de", "de"),
    ],
    ids=["intent", "blank", "call", "option", "call before option"],
)
async def test_language_of_the_call_wins_over_the_intents(
    gateway: LocalGateway,
    client: Any,
    asked: NotGivenOr[str],
    stt_language: str | None,
    told: str | None,
    heard: str,
) -> None:
    """It changes the provider's language; the routing keeps the intent's."""
    gateway.transcribe.script(Transcript("hallo"))
    event = await make_stt(client, stt_language=stt_language).recognize(SPEECH, language=asked)
    (request,) = gateway.requests
    assert request.stt_options == (None if told is None else {"language": told})
    assert request.intent is not None and request.intent["language"] == "en-US"
    assert event.alternatives[0].language == heard


async def test_session_keyterms_join_the_keywords_each_once(
    gateway: LocalGateway, client: Any
) -> None:
    recognizer = make_stt(client, keywords=["Speko", "LiveKit"])
    recognizer._update_session_keyterms(["Paris", "Speko"])
    assert await keywords_sent(gateway, recognizer) == ["Speko", "LiveKit", "Paris"]


async def test_new_session_keyterms_replace_the_old_ones(
    gateway: LocalGateway, speko: Speko
) -> None:
    recognizer = make_stt(speko)
    recognizer._update_session_keyterms(["Paris"])
    recognizer._update_session_keyterms(["Rome"])
    assert await keywords_sent(gateway, recognizer) == ["Rome"]
    recognizer._update_session_keyterms([])
    assert await keywords_sent(gateway, recognizer) is None


async def test_at_most_200_keywords_are_sent_constructor_keywords_first(
    gateway: LocalGateway, client: Any
) -> None:
    own = [f"own{n}" for n in range(150)]
    recognizer = make_stt(client, keywords=own)
    recognizer._update_session_keyterms([f"session{n}" for n in range(100)])
    assert await keywords_sent(gateway, recognizer) == own + [f"session{n}" for n in range(50)]


async def test_keywords_beyond_the_header_are_left_out_and_counted_once(
    gateway: LocalGateway, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = "A hotel." if isinstance(client, Speko) else None  # the official SDK lacks it
    own = [f"नमस्ते दुनिया {number}" for number in range(200)]
    recognizer = make_stt(client, keywords=own, prompt=prompt)
    for _ in range(2):
        sent = await keywords_sent(gateway, recognizer) or []
        assert sent == own[: len(sent)]
        header = gateway.requests[-1].headers["X-Speko-Stt-Options"]
        assert 6_000 < len(header) < 7_000
    (record,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert vars(record)["left_out"] == 200 - len(sent)


async def test_blank_session_keyterms_are_left_out(gateway: LocalGateway, speko: Speko) -> None:
    """A model of LiveKit's finds them; a blank one must not make the service refuse each call."""
    recognizer = make_stt(speko)
    recognizer._update_session_keyterms(["", "Paris", "  "])
    assert await keywords_sent(gateway, recognizer) == ["Paris"]


async def test_callers_lists_are_copied(gateway: LocalGateway, speko: Speko) -> None:
    keywords, keyterms = ["Speko"], ["Paris"]
    recognizer = make_stt(speko, keywords=keywords)
    recognizer._update_session_keyterms(keyterms)
    keywords.append("LiveKit")
    keyterms.append("Rome")
    assert await keywords_sent(gateway, recognizer) == ["Speko", "Paris"]
    assert (keywords, keyterms) == (["Speko", "LiveKit"], ["Paris", "Rome"])


# The constructor


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"intent": {}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        ({"intent": {"language": " "}}, "SpekoAdapter: intent.language is required (BCP-47 tag)"),
        (
            {"intent": {"language": "en", "optimizeFor": "speed"}},
            'SpekoAdapter: unknown optimize_for "speed". '
            "Expected one of: balanced, accuracy, latency, cost.",
        ),
        ({"intent": {"language": "en", "zone": "eu"}}, '"zone"'),
        ({"constraints": {"allowed": {}}}, '"allowed"'),
        ({"keywords": "Speko"}, "SpekoSTT: keywords must be a list of words, got 'Speko'."),
        ({"keywords": ["Speko", " "]}, "SpekoSTT: keywords must be a list of words"),
        ({"keywords": [7]}, "SpekoSTT: keywords must be a list of words"),
        ({"keywords": ["a"] * 201}, "SpekoSTT: keywords has 201 words, expected 200 at most."),
        ({"stt_language": 7}, "SpekoSTT: stt_language must be a string, got int."),
        ({"session_id": 7}, "SpekoSTT: session_id must be a string, got int."),
        ({"session_id": "ü"}, "SpekoSTT: session_id must be printable ASCII, got 'ü'."),
        ({"session_id": "a\nb"}, "SpekoSTT: session_id must be printable ASCII, got 'a\\nb'."),
    ],
)
def test_invalid_option_is_refused_at_once(
    speko: Speko, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError) as raised:
        make_stt(speko, **options)
    assert text in str(raised.value)


def test_200_keywords_are_accepted(speko: Speko) -> None:
    make_stt(speko, keywords=["a"] * 200)


def test_synchronous_client_is_refused_by_name() -> None:
    with (
        spekoai.Speko(api_key="key") as client,
        pytest.raises(TypeError, match=r"SpekoSTT: .*async client, got the synchronous Speko"),
    ):
        make_stt(client)


@pytest.mark.parametrize("thing", ["key", object()])
def test_any_other_client_is_refused_by_type(thing: object) -> None:
    with pytest.raises(TypeError, match=f"SpekoSTT: .*got {type(thing).__name__}"):
        make_stt(thing)
