// The tracks of a call: how loud each is, and what plays them.

import { createAudioAnalyser, TrackEvent } from '/livekit-client.mjs';
import { Meter } from '/meter.js';

export class Tracks {
  // What ends each track that is shown and heard.
  #ends = new Map();
  // The elements that play, and how loud, from 0 to 1.
  #sounds = new Set();
  #volume;

  constructor(volume) {
    this.#volume = volume;
  }

  setVolume(volume) {
    this.#volume = volume;
    for (const sound of this.#sounds) {
      sound.volume = volume;
    }
  }

  /** Show how loud the caller’s microphone is, until it is stopped. */
  show(track, element) {
    const stopMeter = startMeter(element, track);
    this.#ends.set(track, () => {
      stopMeter();
      track.stop();
    });
  }

  /** Play somebody’s track, and show on an element how loud it is; null for none. */
  play(track, element) {
    const sound = track.attach();
    document.body.append(sound);
    sound.volume = this.#volume;
    this.#sounds.add(sound);
    const stopMeter = element ? startMeter(element, track) : null;
    this.#ends.set(track, () => {
      stopMeter?.();
      this.#sounds.delete(sound);
      track.detach(sound);
      sound.remove();
    });
  }

  end(track) {
    this.#ends.get(track)?.();
    this.#ends.delete(track);
  }

  endAll() {
    for (const track of [...this.#ends.keys()]) {
      this.end(track);
    }
  }
}

/** Show how loud a track is, also after it goes on with another device; returns what ends that. */
function startMeter(element, track) {
  const meter = new Meter(element, () => createAudioAnalyser(track, { fftSize: 1024 }));
  const reopen = () => meter.reopen();
  track.on(TrackEvent.Restarted, reopen);
  return () => {
    track.off(TrackEvent.Restarted, reopen);
    meter.stop();
  };
}
