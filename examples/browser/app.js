// The page: what is pressed, and what is shown of a call.

import { setLogLevel } from '/livekit-client.mjs';
import { Call } from '/call.js';
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
const NAMES = { agent: 'Agent', caller: 'You' };

const find = (id) => document.getElementById(id);
const page = document.querySelector('main');
const buttons = {
  call: find('call'),
  mute: find('mute'),
  hangUp: find('hang-up'),
  sound: find('sound'),
};
const transcript = new Transcript(find('transcript'), find('announcer'));

// The call that is being made; null between calls.
let call = null;

const view = {
  agent: find('agent'),
  caller: find('caller'),

  status(state) {
    page.dataset.state = state;
    find('status').textContent = STATUS[state] ?? 'Connected';
  },

  published() {
    buttons.mute.disabled = false;
  },

  line(line) {
    transcript.show({ ...line, name: NAMES[line.who] });
  },

  muted(muted) {
    buttons.mute.setAttribute('aria-pressed', `${muted}`);
    view.caller.dataset.muted = `${muted}`;
  },

  problem: showProblem,

  soundBlocked(blocked) {
    buttons.sound.hidden = !blocked;
  },

  ended(why, problem) {
    call = null;
    page.dataset.state = 'ended';
    find('status').textContent = problem ? why : `Call ended · ${why}`;
    transcript.settle();
    showProblem(problem);
    view.muted(false);
    view.soundBlocked(false);
    buttons.call.textContent = 'Call again';
    swapButtons(false);
  },
};

function showProblem(problem) {
  const parts = [];
  for (const [tag, text] of [
    ['strong', problem?.message],
    ['span', problem?.remedy],
    ['code', problem?.command],
  ]) {
    if (text) {
      const part = document.createElement(tag);
      part.textContent = text;
      parts.push(part);
    }
  }
  find('problem').replaceChildren(...parts);
}

/** Show the buttons of a call, or the one that makes it; the keyboard’s focus goes along. */
function swapButtons(calling) {
  buttons.call.hidden = calling;
  buttons.mute.hidden = buttons.hangUp.hidden = !calling;
  (calling ? buttons.hangUp : buttons.call).focus();
}

/** Whether a click is not the second half of a double one, whose first half swapped the buttons. */
function isMeant(click) {
  // A key’s counts none.
  return click.detail < 2;
}

buttons.call.addEventListener('click', (event) => {
  if (!isMeant(event)) {
    return;
  }
  transcript.clear();
  showProblem(null);
  // A track that LiveKit’s server does not know yet can’t be muted there.
  buttons.mute.disabled = true;
  swapButtons(true);
  call = new Call(view);
  call.start();
});
buttons.hangUp.addEventListener('click', (event) => {
  if (isMeant(event)) {
    call?.hangUp();
  }
});
buttons.mute.addEventListener('click', () => {
  call?.setMuted(buttons.mute.getAttribute('aria-pressed') === 'false');
});
buttons.sound.addEventListener('click', () => call?.playSound());

setLogLevel('warn');
