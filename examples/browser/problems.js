// What can go wrong, in plain words, with what to do about it.

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

const REFUSED = new Problem(
  'The microphone was refused.',
  'Allow it beside the address of this page, or in the settings of the browser, and call again.',
);
const MISSING = new Problem(
  'No microphone was found.',
  'Plug one in, or turn it on, and call again.',
);
const IN_USE = new Problem(
  'The microphone can’t be opened.',
  'Another program may be using it: close that, and call again.',
);
// By the names of browsers’ errors, older ones too.
const MICROPHONE = {
  NotAllowedError: REFUSED,
  PermissionDeniedError: REFUSED,
  NotFoundError: MISSING,
  DevicesNotFoundError: MISSING,
  NotReadableError: IN_USE,
  TrackStartError: IN_USE,
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
  return MICROPHONE[error?.name] ?? unforeseen(error);
}

/** What to tell when the microphone is lost while the call goes on. */
export function microphoneLost() {
  return new Problem(
    'The microphone was lost, and you are not heard.',
    'Turn it on, or plug one in; then press Mute, to be heard again.',
  );
}

/** Ask the server of this page for something; throws a Problem when it gives nothing. */
export async function ask(path, wishes = {}) {
  let answer;
  try {
    const headers = { 'Content-Type': 'application/json' };
    answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(wishes) });
  } catch {
    throw pageServerProblem();
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw told.error ? new Problem(told.error, told.remedy ?? '') : pageServerProblem();
  }
  return told;
}

function pageServerProblem() {
  return new Problem(
    'The server of this page does not answer.',
    'See whether it runs and what it prints, and call again.',
    'make browser',
  );
}

/** What to tell when the connection was lost. */
export function connectionLost(server) {
  return new Problem(
    'The connection was lost.',
    `See that ${server} runs and that the network is up, and call again.`,
  );
}

/** What to tell of an error that nobody thought of. */
export function unforeseen(error) {
  return new Problem('Something unforeseen went wrong.', `${error?.message ?? error}`);
}
