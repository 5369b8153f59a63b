// A click becomes a mask: vos_zoo/pointing/pointer.py in this browser, with the same windows, marks and order of answers. A picture is looked at
// whole and small, then around the object and larger; what a first click finds is fitted by the model that follows.
//
// Planes are rows first. A plane of the picture has the picture's size; one of a look has that of its window or of its grid.

import { resize } from "./pictures.js";

/** One picture, looked at when it is first asked. */
export class Pointer {
  #whole = null;
  #near = null; // the second look that is kept
  #fitting = null; // the last look that fitted a box or a ring
  #heard = new Map(); // answers, by what was said and what was there before

  /** model: the graphs of pointing.json; rgba: the picture's bytes; size: [height, width]. */
  constructor(model, rgba, size) {
    Object.assign(this, { model, rgba, size, numbers: model.manifest.numbers });
  }

  /** Bytes 0 and 1. points: [[x, y, 0 or 1], ...]; box: [x0, y0, x1, y1] or null; before: bytes of what is to be corrected, or null. */
  async mask({ points, box, before }) {
    const [height, width] = this.size;
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    points = points.map(([x, y, positive]) => ({ x: within(x, width - 1), y: within(y, height - 1), positive: positive > 0 }));
    box = box && [Math.max(0, box[0]), Math.max(0, box[1]), Math.min(width, box[2]), Math.min(height, box[3])];
    if (!before && !box && !points.some((point) => point.positive)) throw new Error("Click on the object itself first.");
    const probs = await this.#probabilities(points, box, before && Float32Array.from(before));
    const most = largest(probs);
    const threshold = most > 0.5 || !(box || points.some((point) => point.positive)) ? 0.5 : 0.5 * most;
    return Uint8Array.from(probs, (value) => Number(value > threshold));
  }

  /** A ring or another loose mask, bytes 0 and 1, fitted to the object in it. */
  async snapped(loose) {
    const { shrunk, least } = this.numbers;
    const { left, top, right, bottom } = windowOf(loose, this.size);
    const dx = shrunk * (right - left), dy = shrunk * (bottom - top);
    const pointed = await this.#bothLooks({ points: [], box: [left + dx, top + dy, right - dx, bottom - dy] }, null);
    const found = Uint8Array.from(await this.#foundIn(loose, pointed, Float32Array.from(loose)), (value) => Number(value > 0.5));
    return count(found) >= least * count(loose) ? found : loose;
  }

  /** What is said is heard in its order: the box, then a point after the other, each with the mask before it. */
  async #probabilities(points, box, before) {
    let probs = before, heard = before ? key(before) : "";
    const steps = points.map((_, n) => ({ points: points.slice(0, n + 1), box }));
    if (box) steps.unshift({ points: [], box });
    for (const said of steps) {
      if (!before && !box && !said.points.some((point) => point.positive)) continue;
      heard += JSON.stringify(said);
      if (!this.#heard.has(heard)) {
        let answer = await this.#answer(said, probs);
        if (probs && said.points.length) answer = merged(probs, answer, said.points.at(-1), this.size, this.numbers);
        this.#heard.set(heard, answer);
      }
      probs = this.#heard.get(heard);
    }
    return probs;
  }

  async #answer(said, before) {
    const probs = await this.#bothLooks(said, before);
    if (before) return probs; // a correction changes what is near it, and nothing else
    if (!said.box || said.points.length) return this.#settled(probs, said);
    const [height, width] = this.size, [x0, y0, x1, y1] = said.box, { grown } = this.numbers;
    const dx = grown * (x1 - x0), dy = grown * (y1 - y0);
    const [from, to] = [[y0 - dy, x0 - dx].map((at) => Math.max(0, Math.trunc(at))), [Math.ceil(y1 + dy), Math.ceil(x1 + dx)]];
    const round = new Float32Array(probs.length), inside = new Uint8Array(probs.length);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const far = ((y + 0.5 - (y0 + y1) / 2) / (y1 - y0)) ** 2 + ((x + 0.5 - (x0 + x1) / 2) / (x1 - x0)) ** 2;
        round[y * width + x] = Number(far <= 0.25);
        inside[y * width + x] = Number(y >= from[0] && y < to[0] && x >= from[1] && x < to[1]);
      }
    }
    return this.#foundIn(inside, probs, round);
  }

  /** The answer to a first click, fitted; as it was if that loses what was clicked on. */
  async #settled(probs, said) {
    const inside = over(probs);
    if (!inside.includes(1)) return probs;
    const look = await this.#nearLook(windowOf(inside, this.size));
    let part = cut(probs, this.size, look.window);
    for (let step = 0; step < this.numbers.steps; step++) part = await this.#fitted(look, part, step ? 0 : this.numbers.spread);
    const found = new Float32Array(probs.length);
    put(found, this.size, look.window, part);
    const places = said.points.filter((point) => point.positive).map(({ x, y }) => even(y) * this.size[1] + even(x)).filter((at) => inside[at]);
    return places.every((at) => found[at] > 0.5) ? found : probs;
  }

  /** What the pointer finds in a box or a ring, but for what looks like its surroundings, fitted twice. */
  async #foundIn(inside, pointed, likely) {
    const window = this.#widened(windowOf(inside, this.size));
    if (!this.#fitting || !same(this.#fitting.window, window)) this.#fitting = await this.#look(window, this.numbers.fitted_look);
    const [within, told, shape] = [Float32Array.from(inside), pointed, likely].map((plane) => cut(plane, this.size, window));
    const apart = this.#unlikeSurroundings(this.#fitting, within).map((value, i) => value * within[i]);
    const first = await this.#fitted(this.#fitting, told.map((value, i) => value * shape[i] * apart[i]), 0);
    const second = await this.#fitted(this.#fitting, first.map((value, i) => value * apart[i]), 0);
    const found = new Float32Array(pointed.length);
    put(found, this.size, window, second.map((value, i) => value * within[i]));
    return found;
  }

  /** How likely each pixel of a look's window is of the object that a plane covers: the picture, stepped as its own next frame. */
  async #fitted(look, plane, spread) {
    const [H, W] = look.grid, size = sizeOf(look.window);
    let small = resize(plane, size, look.grid);
    if (spread) {
      const reach = Math.ceil(spread * count(over(small)) ** 0.5), wide = widest(small, look.grid, reach);
      small = small.map((value, i) => Math.max(value, wide[i] / 2));
    }
    const { likely } = await this.model.run("fit", { ...look.seen, masks: this.model.tensor("float32", Float32Array.from(small), [1, 1, H, W]) });
    return resize(likely.data, look.grid, size);
  }

  /** How little each place of a window looks like what lies outside of the plane: cells of the trunk's map are compared. */
  #unlikeSurroundings(look, within) {
    const { neighbours, fewest_outside: fewest, outside: least, alike: limit, softness } = this.numbers;
    const { data, dims } = look.seen.seen_trunk, [channels, h, w] = dims.slice(1), cells = h * w;
    const shares = resize(within, sizeOf(look.window), [h, w]);
    const beyond = [...shares.keys()].filter((n) => shares[n] < least);
    if (beyond.length < fewest) return new Float32Array(within.length).fill(1);
    const described = Float32Array.from(data), lengths = new Float32Array(cells);
    for (let c = 0; c < channels; c++) for (let n = 0; n < cells; n++) lengths[n] += data[c * cells + n] ** 2;
    for (let c = 0; c < channels; c++) for (let n = 0; n < cells; n++) described[c * cells + n] /= Math.max(Math.sqrt(lengths[n]), 1e-12);
    const cosines = new Float32Array(cells * beyond.length);
    for (let c = 0; c < channels; c++) {
      for (let n = 0; n < cells; n++) {
        const own = described[c * cells + n];
        if (own) for (let m = 0; m < beyond.length; m++) cosines[n * beyond.length + m] += own * described[c * cells + beyond[m]];
      }
    }
    const unlike = new Float32Array(cells);
    for (let n = 0; n < cells; n++) {
      const best = cosines.slice(n * beyond.length, (n + 1) * beyond.length).sort().slice(-neighbours);
      const alike = best.reduce((sum, value) => sum + value, 0) / neighbours;
      unlike[n] = 1 / (1 + Math.exp(-(limit - alike) / softness));
    }
    return resize(unlike, [h, w], sizeOf(look.window));
  }

  async #bothLooks(said, before) {
    const [height, width] = this.size;
    this.#whole ??= await this.#look({ top: 0, left: 0, bottom: height, right: width }, this.numbers.first_look);
    const probs = Float32Array.from(await this.#asked(this.#whole, said, before));
    const wanted = this.#around(probs, said), { second_look: most, enlarged } = this.numbers;
    const more = (most / area(wanted)) ** 0.5 >= enlarged * ((this.#whole.grid[0] * this.#whole.grid[1]) / (height * width)) ** 0.5;
    if (!more && !this.#shownNear(wanted)) return probs;
    const look = await this.#nearLook(wanted);
    put(probs, this.size, look.window, await this.#asked(look, said, probs));
    return probs;
  }

  async #nearLook(wanted) {
    if (!this.#shownNear(wanted)) this.#near = await this.#look(this.#widened(wanted), this.numbers.second_look);
    return this.#near;
  }

  #shownNear(wanted) {
    const kept = this.#near?.window;
    return Boolean(kept) && kept.top <= wanted.top && kept.left <= wanted.left && kept.bottom >= wanted.bottom && kept.right >= wanted.right &&
      area(kept) <= this.numbers.most_around * area(this.#widened(wanted));
  }

  /** The smallest window that shows the mask and all that was said. */
  #around(probs, said) {
    const inside = over(probs), [height, width] = this.size;
    const places = said.points.filter((point) => point.positive).map(({ x, y }) => [x, y]);
    if (said.box) places.push([said.box[0], said.box[1]], [said.box[2] - 1, said.box[3] - 1]);
    const found = inside.includes(1) ? [windowOf(inside, this.size)] : [];
    found.push(...places.map(([x, y]) => ({ top: even(y), left: even(x), bottom: even(y) + 1, right: even(x) + 1 })));
    if (!found.length) return { top: 0, left: 0, bottom: height, right: width };
    const [top, left] = ["top", "left"].map((side) => Math.min(...found.map((each) => each[side])));
    const [bottom, right] = ["bottom", "right"].map((side) => Math.max(...found.map((each) => each[side])));
    return { top, left, bottom, right };
  }

  /** With surroundings, within the picture. */
  #widened(window) {
    const { margin, smallest_look: smallest } = this.numbers, [height, width] = this.size, sides = sizeOf(window);
    const [down, across] = sides.map((side) => Math.max(margin * side, (smallest - side) / 2, 0.15 * Math.max(...sides)));
    return {
      top: Math.max(0, Math.trunc(window.top - down)),
      left: Math.max(0, Math.trunc(window.left - across)),
      bottom: Math.min(height, Math.trunc(window.bottom + down) + 1),
      right: Math.min(width, Math.trunc(window.right + across) + 1),
    };
  }

  async #look(window, most) {
    const size = sizeOf(window), scale = (most / (size[0] * size[1])) ** 0.5, { stride } = this.model.manifest;
    const grid = size.map((side) => Math.max(2, even((side * scale) / stride)) * stride);
    const frames = new Float32Array(3 * grid[0] * grid[1]), plane = new Float32Array(size[0] * size[1]);
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < size[0]; y++) {
        for (let x = 0; x < size[1]; x++) plane[y * size[1] + x] = this.rgba[4 * ((window.top + y) * this.size[1] + window.left + x) + c];
      }
      frames.set(resize(plane, size, grid).map((value) => Math.min(255, Math.max(0, value)) / 255), c * grid[0] * grid[1]);
    }
    const outputs = await this.model.run("look", { frames: this.model.tensor("float32", frames, [1, 3, ...grid]) });
    const of = (kind) => Object.fromEntries(Object.entries(outputs).filter(([name]) => name.startsWith(kind)));
    return { window, grid, image: of("image_"), seen: of("seen_") };
  }

  /** The object's probabilities in the window of a look, at the picture's resolution. */
  async #asked(look, said, before) {
    const [H, W] = look.grid, marks = this.model.tensor("float32", this.#marks(look, said, before), [1, 4, H, W]);
    const { logits } = await this.model.run("point", { ...look.image, marks });
    return resize(logits.data, [H / 2, W / 2], sizeOf(look.window)).map((value) => 1 / (1 + Math.exp(-value)));
  }

  /** Planes of a look's grid: disks on the object, disks beside it, the box, the mask before. */
  #marks({ window, grid: [H, W] }, said, before) {
    const planes = new Float32Array(4 * H * W), [height, width] = sizeOf(window), [fy, fx] = [H / height, W / width], { disk } = this.numbers;
    for (const { x, y, positive } of said.points) {
      const [cx, cy] = [(x + 0.5 - window.left) * fx - 0.5, (y + 0.5 - window.top) * fy - 0.5];
      for (let j = Math.max(0, Math.ceil(cy - disk)); j < Math.min(H, Math.floor(cy + disk) + 1); j++) {
        for (let i = Math.max(0, Math.ceil(cx - disk)); i < Math.min(W, Math.floor(cx + disk) + 1); i++) {
          if ((j - cy) ** 2 + (i - cx) ** 2 <= disk ** 2) planes[Number(!positive) * H * W + j * W + i] = 1;
        }
      }
    }
    if (said.box) {
      const [x0, y0, x1, y1] = said.box, covered = (at, from, to) => Math.min(1, Math.max(0, Math.min(at + 1, to) - Math.max(at, from)));
      for (let j = 0; j < H; j++) {
        const down = covered(j, (y0 - window.top) * fy, (y1 - window.top) * fy);
        for (let i = 0; i < W; i++) planes[2 * H * W + j * W + i] = down * covered(i, (x0 - window.left) * fx, (x1 - window.left) * fx);
      }
    }
    if (before) planes.set(resize(cut(before, this.size, window), [height, width], [H, W]), 3 * H * W);
    return planes;
  }
}

/** The answer to a further click, where it changes the mask in one piece with the click; elsewhere what was there before. */
function merged(before, answer, click, [height, width], { merge_side: side, reach: near }) {
  const after = answer.map((value, i) => (click.positive ? Math.max(before[i], value) : Math.min(before[i], value)));
  const changed = after.map((value, i) => Number(before[i] > 0.5 !== value > 0.5));
  const factor = Math.max(1, Math.ceil(Math.max(height, width) / side)), reach = Math.max(1, Math.floor(near / factor));
  const [h, w] = [Math.ceil(height / factor), Math.ceil(width / factor)];
  const coarse = new Uint8Array(h * w), piece = new Uint8Array(h * w), todo = [];
  const cell = (i) => Math.floor(Math.floor(i / width) / factor) * w + Math.floor((i % width) / factor);
  changed.forEach((differs, i) => { if (differs) coarse[cell(i)] = 1; });
  const take = (y, x) => {
    if (y < 0 || x < 0 || y >= h || x >= w || piece[y * w + x] || !coarse[y * w + x]) return;
    piece[y * w + x] = 1;
    todo.push([y, x]);
  };
  const around = (y, x, far) => { for (let j = y - far; j <= y + far; j++) for (let i = x - far; i <= x + far; i++) take(j, i); };
  around(Math.floor(even(click.y) / factor), Math.floor(even(click.x) / factor), reach);
  if (!todo.length) return after;
  while (todo.length) around(...todo.pop(), 1);
  return after.map((value, i) => (changed[i] && !piece[cell(i)] ? before[i] : value));
}

/** The largest value within `reach` of each place, that of zeros beyond the border too. */
function widest(plane, [h, w], reach) {
  const across = new Float32Array(h * w), out = new Float32Array(h * w);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) for (let i = Math.max(0, x - reach); i <= Math.min(w - 1, x + reach); i++) across[y * w + x] = Math.max(across[y * w + x], plane[y * w + i]);
  }
  for (let y = 0; y < h; y++) {
    for (let j = Math.max(0, y - reach); j <= Math.min(h - 1, y + reach); j++) for (let x = 0; x < w; x++) out[y * w + x] = Math.max(out[y * w + x], across[j * w + x]);
  }
  return out;
}

/** A half goes to the even number, as in Python. */
export function even(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/** The smallest window that holds what is not 0. */
function windowOf(bytes, [height, width]) {
  let [top, left, bottom, right] = [height, width, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (bytes[y * width + x]) [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), y + 1, Math.max(right, x + 1)];
    }
  }
  return { top, left, bottom, right };
}

const over = (plane) => Uint8Array.from(plane, (value) => Number(value > 0.5));
const count = (bytes) => bytes.reduce((sum, value) => sum + value, 0);
const largest = (plane) => plane.reduce((most, value) => Math.max(most, value), 0);
const sizeOf = ({ top, left, bottom, right }) => [bottom - top, right - left];
const area = (window) => sizeOf(window).reduce((a, b) => a * b);
const same = (a, b) => a.top === b.top && a.left === b.left && a.bottom === b.bottom && a.right === b.right;

function cut(plane, [, width], window) {
  const [h, w] = sizeOf(window), part = new Float32Array(h * w);
  for (let y = 0; y < h; y++) part.set(plane.subarray((window.top + y) * width + window.left, (window.top + y) * width + window.right), y * w);
  return part;
}

function put(plane, [, width], window, part) {
  const [h, w] = sizeOf(window);
  for (let y = 0; y < h; y++) plane.set(part.subarray(y * w, (y + 1) * w), (window.top + y) * width + window.left);
}

/** What tells one mask from another. */
function key(plane) {
  let sum = 0;
  for (let i = 0; i < plane.length; i++) if (plane[i] > 0.5) sum = (Math.imul(sum, 31) + i) | 0;
  return `${count(over(plane))}:${sum};`;
}
