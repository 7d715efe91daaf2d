// What one side says, put together from the transcripts of a voice model.

/**
 * The lines of one side. Providers send each text whole so far, or in pieces: which of the two is
 * found out, and holds then, since whole texts may be revised.
 */
export class RoleText {
  #role;
  #count = 0;
  #text = '';
  // Whether texts were found to be whole ones.
  #cumulative = false;
  // Whether a line has begun that is not final.
  #open = false;

  constructor(role) {
    this.#role = role;
  }

  /** The id of the line that came last. */
  get lastId() {
    return `${this.#role} ${this.#count}`;
  }

  /** Take a transcript; returns the line that it is a part of. */
  take(text, final) {
    if (!this.#open) {
      this.#open = true;
      this.#count += 1;
      this.#text = '';
    }
    if (this.#text && text.startsWith(this.#text)) {
      this.#cumulative = true;
    }
    this.#text = this.#cumulative ? text : this.#text + text;
    this.#open = !final;
    return { id: this.lastId, text: this.#text, final };
  }

  /** End a line that will not become final; null when there is none. */
  end() {
    if (!this.#open) {
      return null;
    }
    this.#open = false;
    return { id: this.lastId, text: this.#text, final: true };
  }
}
