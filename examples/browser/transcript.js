// What was said, line by line, as it is said.

// How close to its end, in pixels, a reader counts as one who follows it.
const NEAR_END = 80;

/** The list of what both said. A line that is known by its id is replaced, not repeated. */
export class Transcript {
  #lines = new Map();
  // The ids of those that nothing but a whole line may still change.
  #whole = new Set();
  // Whether the reader follows the newest line, and how far down they were last, in pixels.
  #follows = true;
  #top = 0;

  /**
   * @param {HTMLElement} list - Gets an item for each line; what it stands in scrolls.
   * @param {HTMLElement} announcer - Gets each whole line, for who listens to the page.
   */
  constructor(list, announcer) {
    this.list = list;
    this.announcer = announcer;
    this.frame = list.parentElement;
    this.frame.addEventListener('scroll', () => this.#notice());
    // What is shown below the list takes room from it, at its end.
    new ResizeObserver(() => this.#follow()).observe(this.frame);
  }

  clear() {
    this.#lines.clear();
    this.#whole.clear();
    this.#follows = true;
    this.list.replaceChildren();
    this.announcer.textContent = '';
  }

  /**
   * Put a line in its place.
   * @param {{id: string, who: string, name: string, text: string, final: boolean}} line - What is
   *   known of it so far; an empty text takes it away.
   */
  show({ id, who, name, text, final }) {
    // A guess that comes late is worth less than what is known.
    if (!final && this.#whole.has(id)) {
      return;
    }
    if (final) {
      this.#whole.add(id);
    }
    let item = this.#lines.get(id);
    if (!text) {
      item?.remove();
      this.#lines.delete(id);
      return;
    }
    if (!item) {
      item = this.#newItem(who, name);
      this.#lines.set(id, item);
    }
    // Never as markup: it is what somebody said.
    item.querySelector('.words').textContent = text;
    item.classList.toggle('interim', !final);
    if (final) {
      this.announcer.textContent = `${name}: ${text}`;
    }
    this.#follow();
  }

  /** Put a note between the lines: what is done, not said. */
  note(text) {
    const item = document.createElement('li');
    item.className = 'note';
    item.textContent = text;
    this.list.append(item);
    this.announcer.textContent = text;
    this.#follow();
  }

  /** Mark a line as one that was not heard to its end. */
  cut(id) {
    this.#lines.get(id)?.classList.add('cut');
  }

  /** Let what is still growing stand as it is: nobody will end it. */
  settle() {
    for (const item of this.#lines.values()) {
      item.classList.remove('interim');
    }
  }

  #newItem(who, name) {
    const item = document.createElement('li');
    item.dataset.who = who;
    for (const [kind, text] of [
      ['name', name],
      ['words', ''],
    ]) {
      const part = document.createElement('span');
      part.className = kind;
      part.textContent = text;
      item.append(part);
    }
    this.list.append(item);
    return item;
  }

  #follow() {
    if (this.#follows) {
      this.frame.scrollTop = this.frame.scrollHeight;
    }
  }

  /** See whether the reader still follows: who does not scroll up does. */
  #notice() {
    const { scrollHeight, scrollTop, clientHeight } = this.frame;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#follows = isAtEnd || (this.#follows && scrollTop >= this.#top);
    this.#top = scrollTop;
  }
}
