// What both pages share: the state of a call, its buttons, and what is shown of a problem.

const find = (id) => document.getElementById(id);
const main = document.querySelector('main');

export const buttons = { call: find('call'), mute: find('mute'), hangUp: find('hang-up') };
export const volume = find('volume');
export const speakers = { agent: find('agent'), caller: find('caller') };
export const NAMES = { agent: 'Agent', caller: 'You' };

/** Show how a call stands, by the name of its state and in words. */
export function showState(state, words) {
  main.dataset.state = state;
  find('status').textContent = words;
}

export function showProblem(problem) {
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

export function showMuted(muted) {
  buttons.mute.setAttribute('aria-pressed', `${muted}`);
  speakers.caller.dataset.muted = `${muted}`;
}

/** Show that a call is over. */
export function showEnd(why, problem) {
  showState('ended', problem ? why : `Call ended · ${why}`);
  showProblem(problem);
  showMuted(false);
  buttons.call.textContent = 'Call again';
  swapButtons(false);
}

/** Show the buttons of a call, or the one that makes it; the keyboard’s focus goes along. */
function swapButtons(calling) {
  buttons.call.hidden = calling;
  for (const each of document.querySelectorAll('.in-call')) {
    each.hidden = !calling;
  }
  (calling ? buttons.hangUp : buttons.call).focus();
}

/** Whether a click is not the second half of a double one, whose first half swapped the buttons. */
function isMeant(click) {
  // A key’s counts none.
  return click.detail < 2;
}

/**
 * Connect the buttons: `start()` makes and returns a call, which has `hangUp()`,
 * `setMuted(isMuted)` and `setVolume(volume)`; `current()` is the one that is being made, or null.
 */
export function connectButtons({ start, current }) {
  buttons.call.addEventListener('click', (event) => {
    if (isMeant(event)) {
      showProblem(null);
      // A track that the other side does not know yet can’t be muted there.
      buttons.mute.disabled = true;
      swapButtons(true);
      start();
    }
  });
  buttons.hangUp.addEventListener('click', (event) => {
    if (isMeant(event)) {
      current()?.hangUp();
    }
  });
  buttons.mute.addEventListener('click', () => {
    current()?.setMuted(buttons.mute.getAttribute('aria-pressed') === 'false');
  });
  volume.addEventListener('input', () => current()?.setVolume(volume.valueAsNumber));
}
