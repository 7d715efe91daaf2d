"""`update_options` of the three adapters: from the next call on, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from livekit_plugins_speko import Intent, Speko
from livekit_plugins_speko.testing import LocalGateway, Reply, Transcript
from tests.helpers.llm_calls import chat, make_llm
from tests.helpers.stt_calls import SPEECH, make_stt
from tests.helpers.tts_calls import make_tts, speak, speech

FRENCH = Intent("fr-FR", "europe-west3", "latency")
FRENCH_WIRE = {"language": "fr-FR", "region": "europe-west3", "optimizeFor": "latency"}


@pytest.mark.parametrize(
    ("changed", "wire"),
    [
        ({"voice": "aria"}, {"voice": "aria"}),
        ({"speed": 0.5}, {"speed": 0.5}),
        ({"instructions": "Calmly."}, {"instructions": "Calmly."}),
        ({"intent": FRENCH}, {"intent": FRENCH_WIRE}),
        ({"voice": None}, {"voice": None}),
        ({"voice": " "}, {"voice": None}),
    ],
)
async def test_voice_options_change_from_the_next_call_on(
    gateway: LocalGateway, client: Any, changed: dict[str, Any], wire: dict[str, Any]
) -> None:
    gateway.synthesize.always(speech())
    voice = make_tts(client, voice="nova", speed=2.0)
    await speak(voice)
    voice.update_options(**changed)
    await speak(voice)
    before, after = (request.json for request in gateway.requests)
    expected = {**before, **wire}
    assert after == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    ("changed", "wire"),
    [
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": None}, {"temperature": None}),
        ({"max_tokens": 7}, {"maxTokens": 7}),
        ({"reasoning_effort": "none"}, {"reasoningEffort": "none"}),
        ({"intent": {"language": "fr-FR"}}, {"intent": {"language": "fr-FR"}}),
    ],
)
async def test_model_options_change_from_the_next_call_on(
    gateway: LocalGateway, client: Any, changed: dict[str, Any], wire: dict[str, Any]
) -> None:
    gateway.complete.always(Reply("Hi."))
    model = make_llm(client, temperature=1.5)
    await chat(model)
    model.update_options(**changed)
    await chat(model)
    before, after = (request.json for request in gateway.requests)
    expected = {**before, **wire}
    assert after == {name: value for name, value in expected.items() if value is not None}


async def test_recognition_options_change_from_the_next_call_on(
    gateway: LocalGateway, speko: Speko
) -> None:
    gateway.transcribe.always(Transcript("hello"))
    recognizer = make_stt(speko, keywords=["Speko"], stt_language="en-GB")
    await recognizer.recognize(SPEECH)
    recognizer.update_options(
        intent=FRENCH, keywords=["Lyon"], stt_language=None, prompt="At a bakery."
    )
    event = await recognizer.recognize(SPEECH)
    before, after = gateway.requests
    assert before.stt_options == {"keywords": ["Speko"], "language": "en-GB"}
    assert after.stt_options == {"keywords": ["Lyon"], "prompt": "At a bakery."}
    assert after.intent == FRENCH_WIRE
    assert event.alternatives[0].language == "fr-FR"


@pytest.mark.parametrize(
    ("make", "changed", "says"),
    [
        (make_tts, {"speed": 2.1}, "SpekoTTS: speed must be a number from 0.5 to 2, got 2.1."),
        (make_tts, {"voice": 5}, "SpekoTTS: voice must be a string, got int."),
        (make_llm, {"temperature": 2.1}, "SpekoLLM: temperature must be a number from 0 to 2"),
        (make_llm, {"max_tokens": 0}, "SpekoLLM: max_tokens must be a whole number"),
        (make_llm, {"reasoning_effort": "most"}, "SpekoLLM: reasoning_effort must be one of none"),
        (make_stt, {"keywords": ["a"] * 201}, "SpekoSTT: keywords has 201 words"),
        (make_stt, {"prompt": "x" * 2001}, "SpekoSTT: prompt has 2001 characters, expected 2000"),
        (make_stt, {"intent": {}}, "SpekoAdapter: intent.language is required"),
    ],
)
def test_refused_value_changes_nothing(
    speko: Speko, make: Any, changed: dict[str, Any], says: str
) -> None:
    adapter = make(speko)
    before = adapter._options
    with pytest.raises(ValueError, match=f"^{says}"):
        adapter.update_options(**changed)
    assert adapter._options is before


@pytest.mark.parametrize("make", [make_stt, make_llm, make_tts])
def test_unset_option_is_unchanged(speko: Speko, make: Any) -> None:
    adapter = make(speko)
    before = adapter._options
    adapter.update_options()
    assert adapter._options == before
