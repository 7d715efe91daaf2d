// Plays what is queued, and says when all of it was played.

registerProcessor(
  'playback',
  class extends AudioWorkletProcessor {
    // What is to be played, and how much of the first part of it was.
    #queue = [];
    #played = 0;
    // The number of times that what is queued was voided, and the samples played since the last.
    #era = 0;
    #done = 0;

    constructor() {
      super();
      this.port.onmessage = ({ data: { era, samples } }) => {
        if (era !== this.#era) {
          this.#queue = [];
          this.#played = this.#done = 0;
          this.#era = era;
        }
        if (samples) {
          this.#queue.push(samples);
        }
      };
    }

    process(_, [[out]]) {
      const wasBusy = this.#queue.length > 0;
      let filled = 0;
      while (filled < out.length && this.#queue.length) {
        const [first] = this.#queue;
        const part = first.subarray(this.#played, this.#played + out.length - filled);
        out.set(part, filled);
        filled += part.length;
        this.#played += part.length;
        this.#done += part.length;
        if (this.#played === first.length) {
          this.#queue.shift();
          this.#played = 0;
        }
      }
      if (wasBusy && !this.#queue.length) {
        this.port.postMessage({ era: this.#era, done: this.#done });
      }
      return true;
    }
  },
);
