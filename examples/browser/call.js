// One call: the microphone, the room, and whoever answers there.

import {
  createLocalAudioTrack,
  DataStreamError,
  Room,
  RoomEvent,
  Track,
} from '/livekit-client.mjs';
import { Meter } from '/meter.js';
import {
  ending,
  joinProblem,
  microphoneLost,
  microphoneProblem,
  noAgent,
  pageServerProblem,
  Problem,
  unforeseen,
} from '/problems.js';

// LiveKit's names, as its agents use them.
const TRANSCRIPTION = 'lk.transcription';
const SEGMENT = 'lk.segment_id';
const FINAL = 'lk.transcription_final';
const STATE = 'lk.agent.state';

const AGENT_WITHIN_SECONDS = 15;

/**
 * A call that can be made once. It tells the view how it goes:
 * `status(state)`, `published()` once the microphone can be muted, `muted(isMuted)`,
 * `problem(problem)` of what hinders it but does not end it (null when that is over),
 * `line({id, who, text, final})`, `soundBlocked(isBlocked)`, and at last, once,
 * `ended(why, problem)`.
 */
export class Call {
  #view;
  #room = new Room();
  // What ends each track that is shown and heard.
  #ends = new Map();
  #timer = 0;
  // The microphone’s track; null until it was allowed.
  #microphone = null;
  // By which name the agent was asked for; empty when any may come.
  #agentName = '';
  // Whether one has come.
  #answered = false;
  // Whether the connection is being made anew.
  #reconnecting = false;
  #over = false;

  constructor(view) {
    this.#view = view;
    this.#listen();
  }

  /** Make the call; resolves when it stands, or has failed. */
  async start() {
    try {
      this.#tell('status', 'asking');
      await this.#openMicrophone();
      this.#tell('status', 'connecting');
      const { url, token, agent } = await requestCall();
      this.#agentName = agent;
      await this.#join(url, token);
    } catch (error) {
      // Hanging up breaks off whatever was under way.
      if (this.#over) {
        return;
      }
      const problem = error instanceof Problem ? error : unforeseen(error);
      this.#finish('The call failed', problem);
    }
  }

  hangUp() {
    this.#finish('You hung up');
  }

  /** Mute the microphone, or turn it on again; one that was lost is asked for anew. */
  async setMuted(muted) {
    try {
      await (muted ? this.#microphone.mute() : this.#microphone.unmute());
      this.#tell('problem', null);
    } catch (error) {
      this.#tell('problem', microphoneProblem(error));
    }
    // What is so, not what was asked for.
    this.#tell('muted', this.#microphone.isMuted);
  }

  /** Let the browser play what it held back. To be called by a click. */
  async playSound() {
    await this.#room.startAudio();
  }

  async #openMicrophone() {
    let track;
    try {
      track = await createLocalAudioTrack();
    } catch (error) {
      throw microphoneProblem(error);
    }
    this.#microphone = track;
    this.#goOn();
    const meter = new Meter(this.#view.caller, track);
    this.#ends.set(track, () => {
      meter.stop();
      track.stop();
    });
  }

  async #join(url, token) {
    this.#goOn();
    try {
      await this.#room.connect(url, token);
    } catch (error) {
      throw joinProblem(error, url);
    }
    this.#goOn();
    // Not before: a room that can’t be joined is told as disconnected, too.
    this.#room.on(RoomEvent.Disconnected, (reason) => this.#finish(...ending(reason)));
    await this.#room.localParticipant.publishTrack(this.#microphone, {
      source: Track.Source.Microphone,
    });
    this.#tell('published');
    this.#tellState();
  }

  /** Throw when the caller has hung up while something was awaited. */
  #goOn() {
    if (this.#over) {
      this.#microphone?.stop();
      throw new Error('hung up');
    }
  }

  #listen() {
    const room = this.#room;
    const tellState = () => this.#tellState();
    room
      .on(RoomEvent.ParticipantConnected, tellState)
      .on(RoomEvent.ParticipantDisconnected, tellState)
      .on(RoomEvent.ParticipantAttributesChanged, tellState)
      .on(RoomEvent.Reconnected, () => this.#setReconnecting(false))
      .on(RoomEvent.Reconnecting, () => this.#setReconnecting(true))
      .on(RoomEvent.SignalReconnecting, () => this.#setReconnecting(true))
      .on(RoomEvent.TrackSubscribed, (track, _, who) => this.#play(track, who))
      .on(RoomEvent.TrackUnsubscribed, (track) => this.#end(track))
      .on(RoomEvent.TrackMuted, () => this.#tellMicrophone())
      .on(RoomEvent.TrackUnmuted, () => this.#tellMicrophone())
      .on(RoomEvent.AudioPlaybackStatusChanged, () =>
        this.#tell('soundBlocked', !room.canPlaybackAudio),
      );
    room.registerTextStreamHandler(TRANSCRIPTION, (reader, { identity }) =>
      this.#read(reader, identity === room.localParticipant.identity ? 'caller' : 'agent'),
    );
  }

  /** Tell the view, unless the call is over: the view may be showing the next one by then. */
  #tell(what, ...told) {
    if (!this.#over) {
      this.#view[what](...told);
    }
  }

  #tellMicrophone() {
    const { isMuted, mediaStreamTrack } = this.#microphone;
    this.#tell('muted', isMuted);
    // LiveKit’s client mutes a microphone that is gone when no other can take its place.
    if (isMuted && mediaStreamTrack.readyState === 'ended') {
      this.#tell('problem', microphoneLost());
    }
  }

  #setReconnecting(reconnecting) {
    this.#reconnecting = reconnecting;
    this.#tellState();
  }

  #tellState() {
    clearTimeout(this.#timer);
    if (this.#over) {
      return;
    }
    const agent = [...this.#room.remoteParticipants.values()].find((who) => who.isAgent);
    this.#answered ||= Boolean(agent);
    if (this.#reconnecting) {
      // Nobody can come meanwhile: the time to come in begins anew after it.
      this.#tell('status', 'reconnecting');
    } else if (agent) {
      this.#tell('status', agent.attributes[STATE] ?? 'initializing');
    } else {
      this.#tell('status', 'waiting');
      this.#timer = setTimeout(() => this.#giveUp(), 1000 * AGENT_WITHIN_SECONDS);
    }
  }

  #giveUp() {
    const problem = noAgent(this.#agentName, AGENT_WITHIN_SECONDS, this.#answered);
    this.#finish(this.#answered ? 'The agent is gone' : 'Nobody answered', problem);
  }

  #play(track, who) {
    if (track.kind !== Track.Kind.Audio) {
      return;
    }
    const sound = track.attach();
    document.body.append(sound);
    const meter = who.isAgent ? new Meter(this.#view.agent, track) : null;
    this.#ends.set(track, () => {
      meter?.stop();
      track.detach(sound);
      sound.remove();
    });
  }

  #end(track) {
    this.#ends.get(track)?.();
    this.#ends.delete(track);
  }

  async #read(reader, who) {
    const { id: stream, attributes = {} } = reader.info;
    const line = { id: attributes[SEGMENT] ?? stream, who, text: '', final: false };
    try {
      for await (const piece of reader) {
        line.text += piece;
        this.#tell('line', line);
      }
    } catch (error) {
      // Who spoke has gone in the middle: what was told stands.
      if (!(error instanceof DataStreamError)) {
        throw error;
      }
    }
    // What a caller says is told once while it is uncertain, and once more when it is not.
    line.final = who === 'agent' || reader.info.attributes?.[FINAL] === 'true';
    this.#tell('line', line);
  }

  #finish(why, problem = null) {
    if (this.#over) {
      return;
    }
    this.#over = true;
    clearTimeout(this.#timer);
    for (const track of [...this.#ends.keys()]) {
      this.#end(track);
    }
    this.#room.disconnect();
    this.#view.ended(why, problem);
  }
}

async function requestCall() {
  let answer;
  try {
    answer = await fetch('/api/call', { method: 'POST' });
  } catch {
    throw pageServerProblem();
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw pageServerProblem(told.error);
  }
  return told;
}
