// The microphone as a voice model takes it: PCM16, mono, in frames of 20 ms.

import { Meter } from '/meter.js';
import { microphoneProblem } from '/problems.js';

export class Microphone {
  #context;
  #stream;
  #worklet;
  #meter;

  /**
   * Turn it on.
   * @param {HTMLElement} element - Shows how loud it is.
   * @param {{audio: (pcm: ArrayBuffer) => void, lost: () => void}} on - Each frame, and its loss.
   */
  static async open(element, on) {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
      });
    } catch (error) {
      throw microphoneProblem(error);
    }
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule('/capture_worklet.js');
    } catch (error) {
      stop(stream, context);
      throw error;
    }
    return new Microphone(element, stream, context, on);
  }

  constructor(element, stream, context, on) {
    this.#stream = stream;
    this.#context = context;
    const source = context.createMediaStreamSource(stream);
    this.#worklet = new AudioWorkletNode(context, 'capture', { numberOfOutputs: 0 });
    this.#worklet.port.onmessage = ({ data }) => on.audio(data);
    source.connect(this.#worklet);
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    source.connect(analyser);
    this.#meter = new Meter(element, () => ({ analyser, cleanup: () => {} }));
    stream.getAudioTracks()[0].addEventListener('ended', on.lost);
  }

  /** Set the rate of the frames, in Hz; there are none before. */
  setRate(rate) {
    this.#worklet.port.postMessage(rate);
  }

  setMuted(muted) {
    for (const track of this.#stream.getAudioTracks()) {
      track.enabled = !muted;
    }
  }

  close() {
    this.#meter.stop();
    stop(this.#stream, this.#context);
  }
}

function stop(stream, context) {
  for (const track of stream.getTracks()) {
    track.stop();
  }
  // It may be closed twice: by a call that failed, and by its end.
  if (context.state !== 'closed') {
    context.close();
  }
}
