// One video through the graphs of export.json, with ONNX Runtime Web. Knows no page and no file.

import { framePixels, likeliest, makeGrid, maskPixels } from "./pictures.js";

/** What goes from frame to frame of one video. Ids are bytes, one a pixel of the video, 0 where no object is. */
export class Follower {
  /** size: [height, width] of the video. */
  constructor(model, size) {
    this.model = model;
    this.grid = makeGrid(...size, model.manifest.preprocess);
    this.slots = []; // the id of each slot
    this.state = null;
  }

  /**
   * A frame, from the first marked one on. rgba: its pixels; marked: null, or { ids, given }: ids drawn on it, and which of them count.
   * Gives the ids of the frame.
   */
  async next(rgba, marked) {
    const { model, grid } = this;
    const frames = model.tensor("float32", framePixels(rgba, grid), [1, 3, ...grid.size]);
    const seen = await model.run("encode", { frames });
    const ids = this.state ? await this.#stepped(seen) : new Uint8Array(grid.video[0] * grid.video[1]);
    if (marked) {
      await this.#annotated(seen, marked);
      for (let i = 0; i < ids.length; i++) {
        if (marked.given.includes(marked.ids[i])) ids[i] = marked.ids[i];
        else if (marked.given.includes(ids[i])) ids[i] = 0;
      }
    }
    return ids;
  }

  async #stepped(seen) {
    const known = { ...seen, ...this.state };
    const after = await this.model.run("advance", { ...known, ...(await this.model.run("predict", known)) });
    this.state = asState(after);
    this.probs = after.probs.data; // on the grid, background first
    return likeliest(after.probs.data, 1 + this.slots.length, this.grid).map((slot) => (slot ? this.slots[slot - 1] : 0));
  }

  async #annotated(seen, { ids, given }) {
    const { model, grid } = this;
    const [H, W] = grid.size;
    const fresh = given.filter((id) => !this.slots.includes(id) && ids.includes(id));
    if (fresh.length) {
      const blank = model.blank({ B: 1, K: fresh.length, H, W });
      this.state = this.state ? joined(model, this.state, blank) : blank;
      this.slots.push(...fresh);
    }
    const layers = this.slots.map((id) => ids.map((each) => Number(each === id && given.includes(id))));
    const shape = [1, this.slots.length];
    const masks = model.tensor("float32", maskPixels(layers, grid), [...shape, H, W]);
    const told = model.tensor("bool", Uint8Array.from(this.slots, (id) => Number(given.includes(id))), shape);
    this.state = asState(await model.run("annotate", { ...seen, ...this.state, masks, given: told }));
  }
}

/** The slots of one state, and those of another behind them. Both are of one clip: the first dimension is 1. */
function joined(model, first, second) {
  return Object.fromEntries(
    Object.entries(first).map(([name, a]) => {
      const b = second[name];
      const values = new a.data.constructor(a.data.length + b.data.length);
      values.set(a.data);
      values.set(b.data, a.data.length);
      return [name, model.tensor(a.type, values, [1, a.dims[1] + b.dims[1], ...a.dims.slice(2)])];
    }),
  );
}

/** next_masks becomes state_masks. */
function asState(outputs) {
  const next = Object.entries(outputs).filter(([name]) => name.startsWith("next_"));
  return Object.fromEntries(next.map(([name, tensor]) => [name.replace("next_", "state_"), tensor]));
}
