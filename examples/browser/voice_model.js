// The page of the voice model: what is pressed, and what is shown of a session.

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
import { VoiceSession } from '/voice_session.js';

const STATUS = {
  asking: 'Allow the microphone',
  connecting: 'Connecting',
  listening: 'Listening',
  thinking: 'Thinking',
  speaking: 'Speaking',
};

const usage = document.getElementById('usage');
const transcript = new Transcript(
  document.getElementById('transcript'),
  document.getElementById('announcer'),
);

// The session that is being held; null between sessions.
let session = null;

const view = {
  ...speakers,

  status(state) {
    showState(state, STATUS[state]);
  },

  ready() {
    buttons.mute.disabled = false;
  },

  line(line) {
    transcript.show({ ...line, name: NAMES[line.who] });
  },

  cut(id) {
    transcript.cut(id);
  },

  note(text) {
    transcript.note(text);
  },

  usage(input, output) {
    usage.textContent = `${input} audio tokens in, ${output} out`;
  },

  muted: showMuted,
  problem: showProblem,

  ended(why, problem) {
    session = null;
    transcript.settle();
    showEnd(why, problem);
  },
};

connectButtons({
  start() {
    transcript.clear();
    usage.textContent = '';
    session = new VoiceSession(view, volume.valueAsNumber);
    session.start();
  },
  current: () => session,
});
// A page that is left behind in the browser’s cache would hold its session open.
window.addEventListener('pagehide', () => session?.hangUp());
