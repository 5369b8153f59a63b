// worker.js, asked one thing after another.

export class Engine {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #last = Promise.resolve(); // of what was asked before
  #waiting = null; // { resolve, reject, fetched } of what is asked now

  constructor() {
    this.#worker.onmessage = ({ data }) => {
      if ("fetched" in data) { this.#waiting?.fetched?.(data.fetched); return; }
      const { resolve, reject } = this.#waiting;
      this.#waiting = null;
      if ("failed" in data) reject(new Error(data.failed));
      else resolve(data.done);
    };
    this.#worker.onerror = (event) => {
      this.#waiting?.reject(new Error(`The model can't be run here: ${event.message ?? "the worker did not start"}`));
      this.#waiting = null;
    };
  }

  /**
   * Opens the model, in a precision or, if `card` is true, in float32 on the graphics card. fetched: called with the share of it that has
   * come. Gives { card, why }: whether the card is used, and why it is not although it was asked for.
   */
  open(precision, card, fetched) {
    return this.#ask({ call: "open", precision, card }, [], fetched);
  }

  /** Opens what points, so that the first click need not wait for it. */
  openPointer() {
    return this.#ask({ call: "openPointer" });
  }

  /** A picture to point at. rgba: its bytes, which are given away. */
  look(rgba, size) {
    return this.#ask({ call: "look", rgba, size }, [rgba.buffer]);
  }

  /** Bytes 0 and 1 of what is pointed at; asked: { points, box, before, snap }, `before` as bytes or null. */
  point(asked) {
    return this.#ask({ call: "point", ...asked });
  }

  start(size) {
    return this.#ask({ call: "start", size });
  }

  /** Ids of the next frame. rgba: its bytes, which are given away; marked: null, or { ids, given }. */
  next(rgba, marked) {
    return this.#ask({ call: "next", rgba, marked }, [rgba.buffer]);
  }

  #ask(message, given = [], fetched = null) {
    const asked = this.#last.then(() => new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, fetched };
      this.#worker.postMessage(message, given);
    }));
    this.#last = asked.catch(() => { /* told to whoever asked */ });
    return asked;
  }
}
