// The loudspeaker of a voice model, whose audio comes faster than it is played.

import { Meter } from '/meter.js';

export class Speaker {
  #element;
  #volume;
  // Called when it begins to play, and when all is played.
  #changed;
  // What plays at the present rate; null before the first audio.
  #output = null;
  // Resolves to it once it can play.
  #opening = null;
  #rate = 0;
  // The first half of a sample that was cut; null when none was.
  #half = null;
  // Counts what was voided, so that audio on its way to an output is void, too.
  #era = 0;
  // The samples that were queued since then.
  #queued = 0;
  #closed = false;
  isPlaying = false;

  constructor(element, volume, changed) {
    this.#element = element;
    this.#volume = volume;
    this.#changed = changed;
  }

  setVolume(volume) {
    this.#volume = volume;
    if (this.#output) {
      this.#output.gain.gain.value = volume;
    }
  }

  /** Play PCM16 at a rate, behind what is queued already. */
  async play(pcm, rate) {
    const samples = this.#toSamples(pcm);
    if (rate !== this.#rate) {
      this.#rate = rate;
      this.#opening = this.#open(rate, this.#output);
    }
    const era = this.#era;
    const output = await this.#opening;
    if (era === this.#era && !this.#closed && samples.length) {
      this.#queued += samples.length;
      this.#setPlaying(true);
      output.worklet.port.postMessage({ era, samples }, [samples.buffer]);
    }
  }

  /** Void what is queued; returns whether anything of it was still to be heard. */
  clear() {
    const wasPlaying = this.isPlaying;
    this.#era += 1;
    this.#queued = 0;
    this.#half = null;
    this.#output?.worklet.port.postMessage({ era: this.#era });
    this.#setPlaying(false);
    return wasPlaying;
  }

  close() {
    this.#closed = true;
    this.#output?.close();
  }

  async #open(rate, before) {
    before?.close();
    const context = new AudioContext({ sampleRate: rate, latencyHint: 'interactive' });
    await context.audioWorklet.addModule('/playback_worklet.js');
    const worklet = new AudioWorkletNode(context, 'playback', {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    worklet.port.onmessage = ({ data: { era, done } }) => {
      // More may be on its way there.
      if (era === this.#era && done === this.#queued) {
        this.#setPlaying(false);
      }
    };
    const gain = new GainNode(context, { gain: this.#volume });
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    worklet.connect(analyser).connect(gain).connect(context.destination);
    const meter = new Meter(this.#element, () => ({ analyser, cleanup: () => {} }));
    const close = () => {
      meter.stop();
      context.close();
    };
    this.#output = { worklet, gain, close };
    if (this.#closed) {
      close();
    }
    return this.#output;
  }

  /** Whole samples of audio that may be cut anywhere. */
  #toSamples(pcm) {
    const found = new Uint8Array(pcm);
    const bytes = this.#half === null ? found : Uint8Array.of(this.#half, ...found);
    const whole = bytes.length - (bytes.length % 2);
    this.#half = whole < bytes.length ? bytes[whole] : null;
    const read = new DataView(bytes.buffer, bytes.byteOffset, whole);
    return Float32Array.from({ length: whole / 2 }, (_, at) => read.getInt16(2 * at, true) / 32_768);
  }

  #setPlaying(playing) {
    if (playing !== this.isPlaying) {
      this.isPlaying = playing;
      this.#changed();
    }
  }
}
