// The data packets of Speko’s protocol, as far as a page needs them.

// Packets without a topic, or with this one, may be Speko’s.
const TOPIC = 'speko.control';

/** The bytes of a message to the agent. */
export function encode(type, text) {
  return new TextEncoder().encode(JSON.stringify({ type, text }));
}

/** The words that an agent’s packet echoes; null when it is another packet. */
export function echoOf(payload, topic) {
  if (topic && topic !== TOPIC) {
    return null;
  }
  try {
    const { type, text } = JSON.parse(new TextDecoder().decode(payload));
    return type === 'user_message_echo' && typeof text === 'string' ? text : null;
  } catch {
    return null;
  }
}

/** What was typed and not echoed yet. Each line of it is shown once. */
export class Typed {
  #waiting = [];
  #count = 0;

  /** Note words on their way; returns their line’s id. */
  sent(text) {
    const id = `typed ${(this.#count += 1)}`;
    this.#waiting.push({ id, text });
    return id;
  }

  /** The id of the line that an echo ends: one that waits for it, else a new one. */
  echoed(text) {
    const found = this.#waiting.findIndex((each) => each.text === text);
    return found < 0 ? `echo ${(this.#count += 1)}` : this.#waiting.splice(found, 1)[0].id;
  }
}
