// A microphone of the page’s that says what a test lets it say.

(() => {
  const context = new AudioContext();
  const microphone = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  navigator.mediaDevices.getUserMedia = async () => {
    await context.resume();
    if (window.refused) {
      throw new DOMException('', window.refused);
    }
    // Each call has a track of its own, which it ends.
    window.heard = microphone.stream.clone();
    return window.heard;
  };

  /** Unplug it. */
  window.unplug = () => {
    const [track] = window.heard.getAudioTracks();
    track.stop();
    track.dispatchEvent(new Event('ended'));
  };

  /** Say a WAV, in base64; resolves when its last sound is said. */
  window.say = async (wav) => {
    const bytes = Uint8Array.from(atob(wav), (byte) => byte.charCodeAt(0));
    const buffer = await context.decodeAudioData(bytes.buffer);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(microphone);
    source.start();
    await new Promise((done) => (source.onended = done));
  };
})();
