"""Sends the caller's audio and the session's commands."""

from __future__ import annotations

from livekit import rtc

from ..api.realtime_events import Close
from .connections import Connection
from .microphone import Microphone
from .outbox import Command, Outbox


async def send(outbox: Outbox, connection: Connection) -> Close | None:
    """Send what comes into `outbox`, until the connection is lost; return its end."""
    microphone = Microphone(connection.input_sample_rate)
    try:
        while True:
            item = await outbox.take()
            if isinstance(item, rtc.AudioFrame):
                if pcm := microphone.push(item):
                    await connection.send_audio(pcm)
            else:
                await _send_command(connection, microphone, item)
    except OSError as fault:
        return Close(code=getattr(fault, "close_code", 1006), reason=str(fault))


async def _send_command(connection: Connection, microphone: Microphone, command: Command) -> None:
    kind, text = command.kind, command.text
    if kind == "commit":
        if pcm := microphone.flush():
            await connection.send_audio(pcm)
        await connection.commit()
    elif kind == "clear":
        microphone.clear()
    elif kind == "interrupt":
        await connection.interrupt()
    elif kind == "tool_result":
        await connection.send_tool_result(command.call_id, text or "")
    elif kind == "reply":
        await connection.reply(text)
    else:
        await connection.send_text(text or "", command.instructions)
