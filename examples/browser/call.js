// One call: the microphone, the room, and whoever answers there.

import {
  createLocalAudioTrack,
  DataStreamError,
  Room,
  RoomEvent,
  Track,
} from '/livekit-client.mjs';
import { echoOf, encode, Typed } from '/packets.js';
import { ask, microphoneLost, microphoneProblem, Problem, unforeseen } from '/problems.js';
import { ending, joinProblem, noAgent, otherRoom, saysAgentLost } from '/room_problems.js';
import { Tracks } from '/tracks.js';

// The kind of room that this page can join.
const LIVEKIT = 'livekit';
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
 * `line({id, who, text, final})`, `note(text)` of what the page let the agent know,
 * `soundBlocked(isBlocked)`, and at last, once, `ended(why, problem)`.
 */
export class Call {
  #view;
  #room = new Room();
  #tracks;
  #typed = new Typed();
  #timer = 0;
  // The microphone’s track; null until it was allowed.
  #microphone = null;
  // By which name the agent was asked for; empty when any may come, undefined for Speko’s own.
  #agentName;
  // Whether one has come.
  #answered = false;
  // Whether the server of this page said that the agent was lost.
  #lost = false;
  // Whether the connection is being made anew.
  #reconnecting = false;
  #over = false;

  constructor(view, volume) {
    this.#view = view;
    this.#tracks = new Tracks(volume);
    this.#listen();
  }

  /** Make the call; resolves when it stands, or has failed. */
  async start() {
    try {
      this.#tell('status', 'asking');
      await this.#openMicrophone();
      this.#tell('status', 'connecting');
      const asked = await ask('/api/conversations');
      const { transport = LIVEKIT, transportUrl, transportToken, agentName } = asked;
      if (transport !== LIVEKIT) {
        throw otherRoom(transport);
      }
      this.#agentName = agentName;
      await this.#join(transportUrl, transportToken);
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

  setVolume(volume) {
    this.#tracks.setVolume(volume);
  }

  /** Say something in writing: the agent answers it, and echoes it once it has it. */
  async say(text) {
    const line = { id: this.#typed.sent(text), who: 'caller', text, final: false };
    this.#tell('line', line);
    await this.#send('user_message', text);
  }

  /** Let the agent know something; it answers nothing, and uses it in its next reply. */
  async inform(text) {
    if (await this.#send('contextual_update', text)) {
      this.#tell('note', text);
    }
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
    this.#tracks.show(track, this.#view.caller);
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
    this.#room.on(RoomEvent.Disconnected, (reason) =>
      this.#finish(...ending(reason, this.#lost)),
    );
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
      .on(RoomEvent.TrackUnsubscribed, (track) => this.#tracks.end(track))
      .on(RoomEvent.TrackMuted, () => this.#tellMicrophone())
      .on(RoomEvent.TrackUnmuted, () => this.#tellMicrophone())
      .on(RoomEvent.RoomMetadataChanged, (metadata) => {
        this.#lost = saysAgentLost(metadata);
      })
      .on(RoomEvent.DataReceived, (payload, who, _, topic) => this.#hear(payload, who, topic))
      .on(RoomEvent.AudioPlaybackStatusChanged, () =>
        this.#tell('soundBlocked', !room.canPlaybackAudio),
      );
    room.registerTextStreamHandler(TRANSCRIPTION, (reader, { identity }) => {
      const who = this.#whoIs(identity);
      if (who) {
        this.#read(reader, who);
      }
    });
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

  async #send(type, text) {
    try {
      await this.#room.localParticipant.publishData(encode(type, text), { reliable: true });
      return true;
    } catch (error) {
      this.#tell('problem', unforeseen(error));
      return false;
    }
  }

  /** Take an echo, of the agent alone: anybody in a room can send packets. */
  #hear(payload, who, topic) {
    const text = who?.isAgent ? echoOf(payload, topic) : null;
    if (text !== null) {
      this.#tell('line', { id: this.#typed.echoed(text), who: 'caller', text, final: true });
    }
  }

  /** Whose words a transcription tells: anybody in a room can send one. Null for a stranger’s. */
  #whoIs(identity) {
    if (identity === this.#room.localParticipant.identity) {
      return 'caller';
    }
    return this.#room.remoteParticipants.get(identity)?.isAgent ? 'agent' : null;
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
    if (track.kind === Track.Kind.Audio) {
      this.#tracks.play(track, who.isAgent ? this.#view.agent : null);
    }
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
    this.#tracks.endAll();
    this.#room.disconnect();
    this.#view.ended(why, problem);
  }
}
