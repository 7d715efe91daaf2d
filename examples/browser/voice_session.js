// One session with a voice model: the microphone, the socket to Speko’s proxy, and the loudspeaker.

import { Microphone } from '/microphone.js';
import { ask, connectionLost, microphoneLost, Problem, unforeseen } from '/problems.js';
import { RoleText } from '/role_text.js';
import { Speaker } from '/speaker.js';
import { connectProxy } from '/proxy_socket.js';
import { runTool } from '/tools.js';

const READY_WITHIN_SECONDS = 10;
// What may wait to be sent, in seconds of audio: what is older than that is not worth hearing.
const LATE_SECONDS = 2;
// A close that the other side meant.
const HUNG_UP = [1000, 1005];
const WHO = { user: 'caller', assistant: 'agent' };

/**
 * A session that can be held once. It tells the view how it goes: `status(state)`, `ready()` once
 * the model hears, `muted(isMuted)`, `problem(problem)` of what hinders it but does not end it,
 * `line({id, who, text, final})`, `cut(id)` of a line that was interrupted, `note(text)` of tools,
 * `usage(inputTokens, outputTokens)`, and at last, once, `ended(why, problem)`.
 */
export class VoiceSession {
  #view;
  #microphone = null;
  #speaker;
  #socket = null;
  #timer = 0;
  // The model hears once it is ready.
  #ready = false;
  #rates = { input: 0, output: 0 };
  #text = { user: new RoleText('user'), assistant: new RoleText('assistant') };
  #usage = { input: 0, output: 0 };
  // Whether a reply is due: the caller’s words are whole, and nothing is heard yet.
  #thinking = false;
  #over = false;

  constructor(view, volume) {
    this.#view = view;
    this.#speaker = new Speaker(view.agent, volume, () => this.#tellState());
  }

  /** Begin; resolves when the socket is being opened, or it has failed. */
  async start() {
    try {
      this.#tell('status', 'asking');
      this.#microphone = await Microphone.open(this.#view.caller, {
        audio: (pcm) => this.#send(pcm),
        lost: () => this.#lose(),
      });
      this.#goOn();
      this.#tell('status', 'connecting');
      const credentials = await ask('/api/realtime-session');
      this.#goOn();
      this.#setRates(credentials);
      this.#connect(credentials);
    } catch (error) {
      this.#microphone?.close();
      // Hanging up breaks off whatever was under way.
      if (!this.#over) {
        const problem = error instanceof Problem ? error : unforeseen(error);
        this.#finish('The call failed', problem);
      }
    }
  }

  hangUp() {
    this.#finish('You hung up');
  }

  /** A muted microphone sends silence, which the model needs to find the end of what was said. */
  async setMuted(muted) {
    try {
      await this.#microphone.setMuted(muted);
      this.#tell('muted', muted);
      this.#tell('problem', null);
    } catch (error) {
      this.#tell('problem', error);
    }
  }

  setVolume(volume) {
    this.#speaker.setVolume(volume);
  }

  #connect(credentials) {
    this.#timer = setTimeout(
      () => this.#fail('The voice model was not ready within 10 seconds.'),
      1000 * READY_WITHIN_SECONDS,
    );
    this.#socket = connectProxy(credentials, {
      audio: (pcm) => this.#play(pcm),
      message: (message) => this.#take(message),
      closed: (code, reason) => this.#closed(code, reason),
    });
  }

  /** Throw when the caller has hung up while something was awaited. */
  #goOn() {
    if (this.#over) {
      throw new Error('hung up');
    }
  }

  /** Tell the view, unless the session is over: the view may be showing the next one by then. */
  #tell(what, ...told) {
    if (!this.#over) {
      this.#view[what](...told);
    }
  }

  #tellState() {
    if (this.#ready) {
      const quiet = this.#thinking ? 'thinking' : 'listening';
      this.#tell('status', this.#speaker.isPlaying ? 'speaking' : quiet);
    }
  }

  #setRates({ inputSampleRate, outputSampleRate }) {
    this.#rates.input = knownRate(inputSampleRate) ?? (this.#rates.input || 24_000);
    this.#rates.output = knownRate(outputSampleRate) ?? (this.#rates.output || 24_000);
    this.#microphone.setRate(this.#rates.input);
  }

  #send(pcm) {
    const most = 2 * this.#rates.input * LATE_SECONDS;
    if (this.#ready && this.#socket.waitingBytes < most) {
      this.#socket.sendAudio(pcm);
    }
  }

  #play(pcm) {
    this.#thinking = false;
    this.#speaker.play(pcm, this.#rates.output);
  }

  #take(message) {
    const take = {
      ready: () => this.#begin(message),
      transcript: () => this.#hear(message),
      interruption: () => this.#stopReply(),
      tool_call: () => this.#run(message),
      server_tool_call: () => this.#tell('note', `Tool ${message.name}: ${message.status}`),
      usage: () => this.#count(message),
      error: () => this.#report(message),
      end: () => this.#finish(`The agent hung up${because(message.reason)}`),
    };
    // What a later service adds is none of ours.
    if (Object.hasOwn(take, message.t)) {
      take[message.t]();
    }
  }

  #begin(message) {
    clearTimeout(this.#timer);
    this.#setRates(message);
    this.#ready = true;
    this.#tell('ready');
    this.#tellState();
  }

  #hear({ role, text, final }) {
    if (!Object.hasOwn(WHO, role) || typeof text !== 'string') {
      return;
    }
    const line = this.#text[role].take(text, final === true);
    this.#tell('line', { ...line, who: WHO[role] });
    if (role === 'user' && line.final) {
      this.#thinking = true;
      this.#tellState();
    }
  }

  /** The caller barged in: what is queued for playing is void. */
  #stopReply() {
    const cutOff = this.#speaker.clear();
    const line = this.#text.assistant.end();
    if (line?.text) {
      this.#tell('line', { ...line, who: 'agent' });
    }
    // A slow reply may be between two sentences.
    if (cutOff || line?.text) {
      this.#tell('cut', this.#text.assistant.lastId);
    }
    this.#tellState();
  }

  async #run({ callId, name, arguments: given }) {
    const output = await runTool(name, given);
    this.#tell('note', `Tool ${name}: ${output}`);
    if (!this.#over) {
      this.#socket.send({ t: 'tool_result', callId, output });
    }
  }

  #count({ inputAudioTokens, outputAudioTokens }) {
    this.#usage.input += Number(inputAudioTokens) || 0;
    this.#usage.output += Number(outputAudioTokens) || 0;
    this.#tell('usage', this.#usage.input, this.#usage.output);
  }

  #report({ code, message }) {
    if (this.#ready) {
      this.#tell('problem', new Problem('The voice model reports an error.', `${message}`));
    } else {
      this.#fail(`The voice model can’t be had (${code}).`, `${message}`);
    }
  }

  #lose() {
    this.#tell('muted', true);
    this.#tell('problem', microphoneLost());
  }

  #closed(code, reason) {
    if (this.#ready && HUNG_UP.includes(code)) {
      this.#finish('The agent hung up');
    } else if (reason) {
      this.#finish('The call broke off', new Problem(`The service ended it (${code}).`, reason));
    } else {
      this.#finish('The call broke off', connectionLost('the service'));
    }
  }

  #fail(what, remedy = 'Call again.') {
    this.#finish('The call failed', new Problem(what, remedy));
  }

  #finish(why, problem = null) {
    if (this.#over) {
      return;
    }
    this.#over = true;
    clearTimeout(this.#timer);
    this.#microphone?.close();
    this.#speaker.close();
    this.#socket?.close();
    this.#view.ended(why, problem);
  }
}

/** One of the two rates of the protocol; null for all else, which is to be ignored. */
function knownRate(rate) {
  return [16_000, 24_000].includes(rate) ? rate : null;
}

function because(reason) {
  return typeof reason === 'string' && reason ? ` (${reason})` : '';
}
