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
    // Before that there is no track to mute.
    buttons.mute.disabled = ['asking', 'connecting'].includes(state);
  },

  line(line) {
    transcript.show({ ...line, name: NAMES[line.who] });
  },

  muted(muted) {
    buttons.mute.setAttribute('aria-pressed', `${muted}`);
    view.caller.dataset.muted = `${muted}`;
  },

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

buttons.call.addEventListener('click', () => {
  transcript.clear();
  showProblem(null);
  swapButtons(true);
  call = new Call(view);
  call.start();
});
buttons.hangUp.addEventListener('click', (event) => {
  // The second half of a double click on Call is none on this.
  if (event.detail < 2) {
    call?.hangUp();
  }
});
buttons.mute.addEventListener('click', () => {
  call?.setMuted(buttons.mute.getAttribute('aria-pressed') === 'false');
});
buttons.sound.addEventListener('click', () => call?.playSound());

setLogLevel('warn');
