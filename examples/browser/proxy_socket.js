// The socket to Speko’s proxy: JSON in text frames, audio in binary ones.

import { Problem } from '/problems.js';

const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

/**
 * Connect with the credentials of a session.
 * @param {object} credentials - As Speko spells them.
 * @param {{audio: (pcm: ArrayBuffer) => void, message: (message: object) => void,
 *   closed: (code: number, reason: string) => void}} on - What comes; `closed` unless `close` was
 *   called.
 */
export function connectProxy(credentials, on) {
  const { wsUrl, wsToken, transport } = credentials;
  if (typeof wsUrl !== 'string' || typeof wsToken !== 'string') {
    throw new Problem(
      'This page can’t talk to that voice model.',
      `It speaks to Speko’s proxy, and the service chose "${transport}": use Speko’s own client.`,
    );
  }
  if (!isSafe(wsUrl)) {
    throw new Problem('The service named an address that must not be sent a token.', 'Call again.');
  }
  return new ProxySocket(open(wsUrl, wsToken), on);
}

function open(address, token) {
  try {
    return new WebSocket(address, [token]);
  } catch {
    // The browser’s own error quotes the token.
    throw new Problem('The service’s credentials can’t be used.', 'Call again.');
  }
}

/** Whether a token may be sent to an address: encrypted, or to this machine, and without a user. */
function isSafe(address) {
  try {
    const { protocol, hostname, username, password } = new URL(address);
    const secure = protocol === 'wss:' || (protocol === 'ws:' && LOOPBACK.includes(hostname));
    return secure && !username && !password;
  } catch {
    return false;
  }
}

class ProxySocket {
  #socket;

  constructor(socket, on) {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => {
      if (typeof data !== 'string') {
        on.audio(data);
        return;
      }
      const message = parse(data);
      if (message) {
        on.message(message);
      }
    };
    socket.onclose = ({ code, reason }) => on.closed(code, reason);
  }

  /** What is not sent yet, in bytes. */
  get waitingBytes() {
    return this.#socket.bufferedAmount;
  }

  sendAudio(pcm) {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(pcm);
    }
  }

  send(message) {
    this.sendAudio(JSON.stringify(message));
  }

  /** Close it as a caller does who hangs up. */
  close() {
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close(1000, 'client_closed');
  }
}

function parse(text) {
  try {
    const message = JSON.parse(text);
    return message !== null && typeof message === 'object' ? message : null;
  } catch {
    return null;
  }
}
