// The page of the agent in a room: what is pressed, and what is shown of a call.

import { setLogLevel } from '/livekit-client.mjs';
import { Call } from '/call.js';
import {
  buttons,
  connectButtons,
  NAMES,
  showEnd,
  showMuted,
  showProblem,
  showState,
  speakers,
  volume,
} from '/frame.js';
import { Transcript } from '/transcript.js';

const STATUS = {
  asking: 'Allow the microphone',
  connecting: 'Connecting',
  waiting: 'Waiting for the agent',
  initializing: 'The agent is getting ready',
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
  reconnecting: 'Reconnecting',
};
// In these the agent takes what is typed.
const READY = ['listening', 'thinking', 'speaking'];

const find = (id) => document.getElementById(id);
const sound = find('sound');
const composer = find('composer');
const words = find('words');
const transcript = new Transcript(find('transcript'), find('announcer'));

// The call that is being made; null between calls.
let call = null;

const view = {
  ...speakers,

  status(state) {
    showState(state, STATUS[state] ?? 'Connected');
    find('typing').disabled = !READY.includes(state);
  },

  published() {
    buttons.mute.disabled = false;
  },

  line(line) {
    transcript.show({ ...line, name: NAMES[line.who] });
  },

  note(text) {
    transcript.note(`The agent now knows: ${text}`);
  },

  muted: showMuted,
  problem: showProblem,

  soundBlocked(blocked) {
    sound.hidden = !blocked;
  },

  ended(why, problem) {
    call = null;
    transcript.settle();
    view.soundBlocked(false);
    showEnd(why, problem);
  },
};

/** Hand what was typed to the call, and take it away from where it was typed. */
function type(hand) {
  const text = words.value.trim();
  if (text && call) {
    words.value = '';
    hand(text);
  }
  words.focus();
}

connectButtons({
  start() {
    transcript.clear();
    find('typing').disabled = true;
    call = new Call(view, volume.valueAsNumber);
    call.start();
  },
  current: () => call,
});
composer.addEventListener('submit', (event) => {
  event.preventDefault();
  type((text) => call.say(text));
});
find('inform').addEventListener('click', () => type((text) => call.inform(text)));
sound.addEventListener('click', () => call?.playSound());

setLogLevel('warn');
