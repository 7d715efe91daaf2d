// Turns what a microphone hears into frames of 20 ms, PCM16 and mono, at a rate of the model’s.

const FRAME_SECONDS = 0.02;

registerProcessor(
  'capture',
  class extends AudioWorkletProcessor {
    // The rate of the frames, in Hz; 0 until it is known.
    #rate = 0;
    #frame = new Int16Array(0);
    #filled = 0;
    // The sum of the sample that is being made, its length so far, and its whole length, all in
    // samples of the microphone’s.
    #sum = 0;
    #length = 0;
    #whole = 1;

    constructor() {
      super();
      this.port.onmessage = ({ data: rate }) => {
        if (rate !== this.#rate) {
          this.#rate = rate;
          this.#whole = sampleRate / rate;
          this.#frame = new Int16Array(rate * FRAME_SECONDS);
          this.#filled = 0;
          this.#sum = this.#length = 0;
        }
      };
    }

    process([[samples]]) {
      if (this.#rate && samples) {
        for (const sample of samples) {
          this.#take(sample);
        }
      }
      return true;
    }

    /** Average over the length of each new sample, which is also a filter against aliases. */
    #take(sample) {
      let left = 1;
      while (this.#length + left >= this.#whole) {
        const part = this.#whole - this.#length;
        this.#put((this.#sum + sample * part) / this.#whole);
        left -= part;
        this.#sum = this.#length = 0;
      }
      this.#sum += sample * left;
      this.#length += left;
    }

    #put(sample) {
      this.#frame[this.#filled] = Math.round(32_767 * Math.max(-1, Math.min(1, sample)));
      this.#filled += 1;
      if (this.#filled === this.#frame.length) {
        const { buffer } = this.#frame;
        this.port.postMessage(buffer, [buffer]);
        this.#frame = new Int16Array(this.#rate * FRAME_SECONDS);
        this.#filled = 0;
      }
    }
  },
);
