// How loud somebody is, many times a second, shown on the one who speaks.

// Decibels below full scale: what a room sounds like, and a loud voice.
const QUIET = -60;
const LOUD = -15;
// From here on somebody is speaking, on the scale from 0 (quiet) to 1 (loud).
const SPEAKING = 0.25;
// How long the pauses in a sentence are, in milliseconds.
const PAUSE = 400;

/** Sets `--level` (0 to 1) and `data-speaking` of an element until it is stopped. */
export class Meter {
  #element;
  #listen;
  // What listens, what ends that, and the samples that it heard last.
  #analyser;
  #close;
  #samples;
  // 0 when it is stopped.
  #frame = 0;
  #spokeAt = -Infinity;

  /**
   * @param {HTMLElement} element - Who speaks.
   * @param {() => {analyser: AnalyserNode, cleanup: () => void}} listen - Begins to listen.
   */
  constructor(element, listen) {
    this.#element = element;
    this.#listen = listen;
    this.#open();
    this.#frame = requestAnimationFrame((now) => this.#measure(now));
  }

  /** Listen anew: with another device, what was listened to is silent for good. */
  reopen() {
    this.#close();
    this.#open();
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#element.style.removeProperty('--level');
    this.#element.dataset.speaking = 'false';
    this.#close();
  }

  #open() {
    const { analyser, cleanup } = this.#listen();
    this.#analyser = analyser;
    this.#close = cleanup;
    this.#samples = new Float32Array(analyser.fftSize);
  }

  #measure(now) {
    const level = this.#level();
    if (level > SPEAKING) {
      this.#spokeAt = now;
    }
    this.#element.style.setProperty('--level', level.toFixed(2));
    this.#element.dataset.speaking = `${now - this.#spokeAt < PAUSE}`;
    this.#frame = requestAnimationFrame((next) => this.#measure(next));
  }

  #level() {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0);
    const decibels = 10 * Math.log10(power / this.#samples.length + 1e-10);
    return Math.min(1, Math.max(0, (decibels - QUIET) / (LOUD - QUIET)));
  }
}
