// The microphone as a voice model takes it: PCM16, mono, in frames of 20 ms.

import { Meter } from '/meter.js';
import { microphoneProblem } from '/problems.js';

export class Microphone {
  #context;
  #worklet;
  #analyser;
  #meter;
  #on;
  // What is heard now; another device’s, once the first one was lost.
  #stream;
  #source;

  /**
   * Turn it on.
   * @param {HTMLElement} element - Shows how loud it is.
   * @param {{audio: (pcm: ArrayBuffer) => void, lost: () => void}} on - Each frame, and its loss.
   */
  static async open(element, on) {
    const stream = await listen();
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule('/capture_worklet.js');
    } catch (error) {
      stop(stream);
      context.close();
      throw error;
    }
    return new Microphone(element, stream, context, on);
  }

  constructor(element, stream, context, on) {
    this.#context = context;
    this.#on = on;
    this.#worklet = new AudioWorkletNode(context, 'capture', { numberOfOutputs: 0 });
    this.#worklet.port.onmessage = ({ data }) => on.audio(data);
    this.#analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.#connect(stream);
    this.#meter = new Meter(element, () => ({ analyser: this.#analyser, cleanup: () => {} }));
  }

  /** Set the rate of the frames, in Hz; there are none before. */
  setRate(rate) {
    this.#worklet.port.postMessage(rate);
  }

  /** Send silence, or what is heard; a microphone that was lost is asked for anew. */
  async setMuted(muted) {
    const [track] = this.#stream.getAudioTracks();
    if (!muted && track.readyState === 'ended') {
      const stream = await listen();
      if (this.#context.state === 'closed') {
        stop(stream);
        return;
      }
      this.#source.disconnect();
      this.#connect(stream);
    } else {
      track.enabled = !muted;
    }
  }

  close() {
    this.#meter.stop();
    stop(this.#stream);
    // It may be closed twice: by a call that failed, and by its end.
    if (this.#context.state !== 'closed') {
      this.#context.close();
    }
  }

  #connect(stream) {
    this.#stream = stream;
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#source.connect(this.#worklet);
    this.#source.connect(this.#analyser);
    stream.getAudioTracks()[0].addEventListener('ended', this.#on.lost);
  }
}

async function listen() {
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
    });
  } catch (error) {
    throw microphoneProblem(error);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) {
    track.stop();
  }
}
