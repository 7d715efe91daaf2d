// Stands in for livekit-client, for what a real room can’t be made to do on demand.

export class ConnectionError extends Error {}
export class DataStreamError extends Error {}
export const ConnectionErrorReason = { NotAllowed: 0 };
export const DisconnectReason = {
  CLIENT_INITIATED: 1,
  SERVER_SHUTDOWN: 3,
  PARTICIPANT_REMOVED: 4,
  ROOM_DELETED: 5,
  ROOM_CLOSED: 10,
};
export const Track = { Kind: { Audio: 'audio' }, Source: { Microphone: 'microphone' } };
// Each event goes by its own name.
const names = new Proxy({}, { get: (_, name) => name });
export const RoomEvent = names;
export const TrackEvent = names;
export const setLogLevel = () => {};

const fake = (window.fake = {
  // What the page's server answers.
  answer: { transportUrl: 'ws://room.test', transportToken: 'token', agentName: '' },
  // What was begun to make calls, in order.
  steps: [],
  // By the names of steps that shall not go on yet: what lets them.
  held: {},
  tracks: [],
  rooms: [],
  // The devices that meters listen to.
  heard: [],

  hold(name) {
    this.held[name] = {};
    this.held[name].promise = new Promise((go) => (this.held[name].go = go));
  },
});

async function step(name) {
  fake.steps.push(name);
  await fake.held[name]?.promise;
}

window.fetch = async () => {
  await step('fetch');
  return Response.json(fake.answer);
};

class Emitter {
  #handlers = [];

  on(event, handler) {
    this.#handlers.push({ event, handler });
    return this;
  }

  off(event, handler) {
    this.#handlers = this.#handlers.filter((h) => h.event !== event || h.handler !== handler);
    return this;
  }

  emit(event, ...told) {
    for (const { handler } of this.#handlers.filter((h) => h.event === event)) {
      handler(...told);
    }
  }
}

class Microphone extends Emitter {
  kind = Track.Kind.Audio;
  stopped = false;
  isMuted = false;
  mediaStreamTrack = { readyState: 'live' };
  // What turning it on again fails with; null when it does not.
  failure = null;

  stop() {
    this.stopped = true;
  }

  // Neither says so by an event: before a track is published there is none.
  async mute() {
    this.isMuted = true;
  }

  async unmute() {
    if (this.failure) {
      throw new DOMException('', this.failure);
    }
    this.isMuted = false;
  }

  /** Be unplugged, with no other to take its place. */
  lose() {
    this.mediaStreamTrack.readyState = 'ended';
    this.isMuted = true;
    fake.rooms.at(-1).emit('TrackMuted');
  }

  /** Go on with another device. */
  restart() {
    this.mediaStreamTrack = { readyState: 'live' };
    this.emit('Restarted');
  }
}

export async function createLocalAudioTrack() {
  await step('microphone');
  const track = new Microphone();
  fake.tracks.push(track);
  return track;
}

/** Every device is loud, until the track goes on with another. */
export function createAudioAnalyser(track) {
  const device = track.mediaStreamTrack;
  fake.heard.push(device);
  const analyser = {
    fftSize: 32,
    getFloatTimeDomainData: (into) => into.fill(device === track.mediaStreamTrack ? 0.3 : 0),
  };
  const cleanup = async () => fake.heard.splice(fake.heard.indexOf(device), 1);
  return { analyser, cleanup };
}

export class Room extends Emitter {
  remoteParticipants = new Map();
  localParticipant = {
    identity: 'caller',
    publishTrack: () => step('publish'),
    publishData: (bytes, options) => this.#send(bytes, options),
  };
  // The data packets that the page sent, and whether the next one fails.
  sent = [];
  refusesData = false;
  canPlaybackAudio = true;
  #read;

  constructor() {
    super();
    fake.rooms.push(this);
  }

  registerTextStreamHandler(_, read) {
    this.#read = read;
  }

  async connect() {
    await step('connect');
  }

  async disconnect() {}

  agentComes(state = 'listening') {
    const agent = { isAgent: true, attributes: { 'lk.agent.state': state } };
    this.remoteParticipants.set('agent', agent);
    this.emit('ParticipantConnected');
  }

  /** Publish the agent’s voice; what comes back plays it. */
  agentSpeaks() {
    const track = new Microphone();
    const sound = document.createElement('audio');
    track.attach = () => sound;
    track.detach = () => {};
    this.emit('TrackSubscribed', track, null, this.remoteParticipants.get('agent'));
    return sound;
  }

  /** End the call as the server does; the room may have been told why. */
  close(metadata) {
    if (metadata) {
      this.emit('RoomMetadataChanged', metadata);
    }
    this.emit('Disconnected', DisconnectReason.ROOM_DELETED);
  }

  blockSound() {
    this.canPlaybackAudio = false;
    this.emit('AudioPlaybackStatusChanged');
  }

  async #send(bytes, { reliable, topic }) {
    if (this.refusesData) {
      throw new Error('no data channel');
    }
    this.sent.push({ ...JSON.parse(new TextDecoder().decode(bytes)), reliable, topic });
  }

  /** Let somebody send a packet: the agent, another participant, or the server. */
  packet(from, text, topic) {
    const agent = this.remoteParticipants.get('agent');
    const who = { agent, stranger: { isAgent: false }, server: undefined }[from];
    this.emit('DataReceived', new TextEncoder().encode(text), who, 0, topic);
  }

  /** Begin to tell what somebody says; what comes back takes the words, one by one. */
  transcribe(identity, segment, final) {
    const attributes = { 'lk.segment_id': segment, 'lk.transcription_final': `${final}` };
    const { readable, writable } = new TransformStream();
    const reader = { info: { id: 'stream', attributes } };
    reader[Symbol.asyncIterator] = () => readable[Symbol.asyncIterator]();
    this.#read(reader, { identity });
    return writable.getWriter();
  }

  /** Tell the whole of what somebody says at once. */
  tell(identity, segment, final, text) {
    const words = this.transcribe(identity, segment, final);
    words.write(text);
    words.close();
  }
}
