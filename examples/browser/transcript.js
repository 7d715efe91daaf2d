// What was said, line by line, as it is said.

// How close to its end, in pixels, a reader counts as one who follows it.
const NEAR_END = 80;

/** The list of what both said. A line that is known by its id is replaced, not repeated. */
export class Transcript {
  #lines = new Map();

  /**
   * @param {HTMLElement} list - Gets an item for each line; what it stands in scrolls.
   * @param {HTMLElement} announcer - Gets each whole line, for who listens to the page.
   */
  constructor(list, announcer) {
    this.list = list;
    this.announcer = announcer;
  }

  clear() {
    this.#lines.clear();
    this.list.replaceChildren();
    this.announcer.textContent = '';
  }

  /**
   * Put a line in its place.
   * @param {{id: string, who: string, name: string, text: string, final: boolean}} line - What is
   *   known of it so far; an empty text takes it away.
   */
  show({ id, who, name, text, final }) {
    const follows = this.#isAtEnd();
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
    if (follows) {
      this.list.parentElement.scrollTop = this.list.parentElement.scrollHeight;
    }
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

  #isAtEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.list.parentElement;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }
}
