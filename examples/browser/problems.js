// What can go wrong, in plain words, with what to do about it.

import {
  ConnectionError,
  ConnectionErrorReason,
  DisconnectReason,
  MediaDeviceFailure,
} from '/livekit-client.mjs';

/** Something that ends or hinders a call, as the caller is told. */
export class Problem extends Error {
  /**
   * @param {string} what - What is wrong.
   * @param {string} remedy - What to do.
   * @param {string} command - A command that the remedy speaks of; empty without one.
   */
  constructor(what, remedy, command = '') {
    super(what);
    this.remedy = remedy;
    this.command = command;
  }
}

const MICROPHONE = {
  [MediaDeviceFailure.PermissionDenied]: new Problem(
    'The microphone was refused.',
    'Allow it beside the address of this page, or in the settings of the browser, and call again.',
  ),
  [MediaDeviceFailure.NotFound]: new Problem(
    'No microphone was found.',
    'Plug one in, or turn it on, and call again.',
  ),
  [MediaDeviceFailure.DeviceInUse]: new Problem(
    'The microphone can’t be opened.',
    'Another program may be using it: close that, and call again.',
  ),
};

const INSECURE = new Problem(
  'The browser gives this page no microphone.',
  'It does so only for https, and for this machine: open the page as http://localhost.',
);

/** What to tell when the microphone can’t be had. */
export function microphoneProblem(error) {
  if (!navigator.mediaDevices) {
    return INSECURE;
  }
  return MICROPHONE[MediaDeviceFailure.getFailure(error)] ?? unforeseen(error);
}

/** What to tell when the microphone is lost while the call goes on. */
export function microphoneLost() {
  return new Problem(
    'The microphone was lost, and you are not heard.',
    'Turn it on, or plug one in; then press Mute, to be heard again.',
  );
}

/** What to tell when the server of this page gives no call; `told` is what it said, if it did. */
export function pageServerProblem(told = '') {
  return new Problem(
    told || 'The server of this page does not answer.',
    'See whether it runs and what it prints, and call again.',
    'make browser',
  );
}

/** What to tell when a LiveKit server can’t be joined. */
export function joinProblem(error, url) {
  if (error instanceof ConnectionError && error.reason === ConnectionErrorReason.NotAllowed) {
    return new Problem(
      `LiveKit’s server at ${url} refused the call.`,
      'See that LIVEKIT_API_KEY and LIVEKIT_API_SECRET are those of that server, and call again.',
    );
  }
  if (error instanceof ConnectionError) {
    return new Problem(
      `LiveKit’s server at ${url} can’t be reached.`,
      'See that it runs, that LIVEKIT_URL is right and no firewall is between, and call again.',
    );
  }
  return unforeseen(error);
}

/** What to tell when nobody answers, or nobody takes the place of an agent that has left. */
export function noAgent(agent, withinSeconds, hasLeft) {
  const who = hasLeft ? 'The agent has left, and no other' : 'No agent';
  return new Problem(
    `${who} came within ${withinSeconds} seconds.`,
    'See that a worker runs, with the LIVEKIT_ variables of this page’s server, and call again: ' +
      'a worker whose machine was busy is passed over.',
    `${agent && `LIVEKIT_AGENT_NAME=${agent} `}python examples/agent.py dev`,
  );
}

/** What to tell of an error that nobody thought of. */
export function unforeseen(error) {
  return new Problem('Something unforeseen went wrong.', `${error?.message ?? error}`);
}

const ENDINGS = {
  [DisconnectReason.CLIENT_INITIATED]: 'You hung up',
  [DisconnectReason.ROOM_DELETED]: 'The agent hung up',
  [DisconnectReason.ROOM_CLOSED]: 'The agent hung up',
  [DisconnectReason.PARTICIPANT_REMOVED]: 'You were removed from the call',
  [DisconnectReason.SERVER_SHUTDOWN]: 'LiveKit’s server was stopped',
};

/** Why a call is over, in a few words, and the problem if it was not meant to be. */
export function ending(reason) {
  return reason in ENDINGS ? [ENDINGS[reason], null] : ['The call broke off', connectionLost()];
}

function connectionLost() {
  return new Problem(
    'The connection was lost.',
    'See that LiveKit’s server runs and that the network is up, and call again.',
  );
}
