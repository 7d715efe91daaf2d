// What can go wrong in a room, in plain words, with what to do about it.

import { ConnectionError, ConnectionErrorReason, DisconnectReason } from '/livekit-client.mjs';
import { connectionLost, Problem, unforeseen } from '/problems.js';

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

/** What to tell when Speko chose a room that is none of LiveKit’s. */
export function otherRoom(transport) {
  return new Problem(
    'This page can’t join that room.',
    `It joins LiveKit’s, and the service chose "${transport}": use Speko’s own client.`,
  );
}

/** What to tell when nobody answers, or nobody takes the place of an agent that has left. */
export function noAgent(agent, withinSeconds, hasLeft) {
  const who = hasLeft ? 'The agent has left, and no other' : 'No agent';
  const what = `${who} came within ${withinSeconds} seconds.`;
  if (agent === undefined) {
    return new Problem(what, 'It is Speko’s own: see its dashboard, and call again.');
  }
  return new Problem(
    what,
    'See that a worker runs, with the LIVEKIT_ variables of this page’s server, and call again: ' +
      'a worker whose machine was busy is passed over.',
    `${agent && `LIVEKIT_AGENT_NAME=${agent} `}python examples/agent.py dev`,
  );
}

const ENDINGS = {
  [DisconnectReason.CLIENT_INITIATED]: 'You hung up',
  [DisconnectReason.ROOM_DELETED]: 'The agent hung up',
  [DisconnectReason.ROOM_CLOSED]: 'The agent hung up',
  [DisconnectReason.PARTICIPANT_REMOVED]: 'You were removed from the call',
  [DisconnectReason.SERVER_SHUTDOWN]: 'LiveKit’s server was stopped',
};

// The room’s last metadata when the server of this page found that its agent was lost.
const AGENT_LOST = 'agent_lost';

/** Whether a room’s metadata says that its agent was lost. */
export function saysAgentLost(metadata) {
  try {
    return JSON.parse(metadata).ended === AGENT_LOST;
  } catch {
    return false;
  }
}

/** Why a call is over, in a few words, and the problem if it was not meant to be. */
export function ending(reason, isAgentLost) {
  if (isAgentLost) {
    return ['The agent is gone', agentLost()];
  }
  return reason in ENDINGS
    ? [ENDINGS[reason], null]
    : ['The call broke off', connectionLost('LiveKit’s server')];
}

function agentLost() {
  return new Problem(
    'The agent’s program has ended in the middle of the call.',
    'Call again: another one takes the call, as soon as a worker is free.',
  );
}
