// Speko’s browser clients as their protocol is documented, as far as they show and send words.
// `older` knows the data packets alone; `newer` knows LiveKit’s transcriptions and chats, too.

async ([kind, url, token]) => {
  const { Room, RoomEvent } = await import('/livekit-client.mjs');
  const room = new Room();
  const client = (window.client = { room, lines: [], disconnected: null });
  // The lines that are still growing, by what tells them apart.
  const growing = new Map();

  const show = (key, source, text, final) => {
    let line = growing.get(key);
    if (!line) {
      line = { source, text: '', final: false };
      growing.set(key, line);
      client.lines.push(line);
    }
    Object.assign(line, { text, final });
    if (final) {
      growing.delete(key);
    }
  };
  const packets = {
    transcript: ({ source, text, isFinal = true }) => show(`packet ${source}`, source, text, isFinal),
    agent_message: ({ text, isFinal = true }) => show('message', 'agent', text, isFinal),
    user_message_echo: ({ text }) => show('echo', 'user', text, true),
  };

  room.on(RoomEvent.DataReceived, (payload) => {
    const message = JSON.parse(new TextDecoder().decode(payload));
    packets[message.type]?.(message);
  });
  room.on(RoomEvent.Disconnected, (reason) => (client.disconnected = reason));
  if (kind === 'newer') {
    room.on(RoomEvent.TranscriptionReceived, (segments, who) => {
      const source = who?.isAgent ? 'agent' : 'user';
      for (const { id, text, final } of segments) {
        show(`segment ${id}`, source, text, final);
      }
    });
  }
  client.type = async (text) => {
    if (kind === 'newer') {
      show('typed', 'user', text, true);
      await room.localParticipant.sendText(text, { topic: 'lk.chat' });
      return;
    }
    const packet = new TextEncoder().encode(JSON.stringify({ type: 'user_message', text }));
    await room.localParticipant.publishData(packet, { reliable: true });
  };
  await room.connect(url, token);
  await room.localParticipant.setMicrophoneEnabled(true);
};
