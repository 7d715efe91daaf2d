"""Metrics, spans' ids and `route` events of replies."""

from __future__ import annotations

import asyncio

from tests.helpers.realtime_calls import INTERRUPTION, RealtimeCall, agent, calling, speech, user


def _replies(call: RealtimeCall) -> list[object]:
    return [each.metrics for each in call.metrics if each.metrics.request_id]


async def test_each_reply_has_its_usage_once() -> None:
    async with calling(provider="acme", model="voice-1") as call:
        for question in ("One?", "Two?"):
            await call.reply("Yes.", question=question)
        await call.until(lambda: len(_replies(call)) == 2 and len(call.history) == 4)
        metrics = [each.metrics for each in call.metrics if each.metrics.request_id]
        for each in metrics:
            assert (each.input_token_details.audio_tokens, each.input_tokens) == (7, 7)
            assert (each.output_token_details.audio_tokens, each.output_tokens) == (11, 11)
            assert each.metadata.model_name == "acme:voice-1"
            assert each.metadata.model_provider == "speko"
            assert each.ttft >= 0
            assert not each.cancelled
        messages = [each for each in call.session.history.messages() if each.role == "assistant"]
        ids = [each.metrics["provider_request_ids"][0] for each in messages]
        assert ids == [each.request_id for each in metrics]
        assert [(each.call, each.request_id, each.outcome) for each in call.routes] == [
            ("realtime", each.request_id, "completed") for each in metrics
        ]
        assert {(each.provider, each.model) for each in call.routes} == {("acme", "voice-1")}


async def test_reply_without_usage_is_reported_at_the_end() -> None:
    async with calling() as call:
        await call.line.say(user("Well?"), speech(2.0), agent("Once", False))
        await call.until_state("speaking")
        await call.line.say(INTERRUPTION)
        await call.until_state("listening")
        assert not _replies(call)
    [metrics] = [each.metrics for each in call.metrics if each.metrics.request_id]
    assert metrics.cancelled
    assert [route.outcome for route in call.routes] == ["cancelled"]


async def test_time_to_first_audio_counts_from_the_callers_last_word() -> None:
    async with calling() as call:
        await call.line.say(user("Well?"))
        await call.until(lambda: bool(call.finals))
        await asyncio.sleep(0.3)
        await call.reply("Yes.")
        await call.until(lambda: bool(call.routes))
        first_s = call.routes[0].first_output_s
        assert first_s is not None
        assert 0.25 < first_s < 0.6


async def test_connection_is_reported() -> None:
    async with calling() as call:
        await call.until(lambda: bool(call.metrics))
        assert call.metrics[0].metrics.acquire_time > 0
