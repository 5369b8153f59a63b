// Between a picture's pixels and the model's grid: resize, pad, and back, as vos_zoo/engine/grid.py does it.

const LONGEST = 3; // the longer side of a frame, in shorter ones, from which on it is made smaller inside the model
const COARSEST = 32;

/** How frames of a size lie on the grid of a model; how: `preprocess` of export.json. */
export function makeGrid(height, width, how) {
  const inner = how.size ?? (how.short_side ? bounded(height, width, how.short_side) : [height, width]);
  const extra = inner.map((side) => (how.stride - (side % how.stride)) % how.stride);
  const before = extra.map((each) => (how.padding === "reflect" ? Math.ceil(each / 2) : Math.floor(each / 2)));
  return { video: [height, width], inner, before, size: inner.map((side, n) => side + extra[n]), mode: how.padding };
}

function bounded(height, width, short) {
  const sized = (factor) => [Math.max(1, Math.round(height * factor)), Math.max(1, Math.round(width * factor))];
  const cost = (size) => size.reduce((product, side) => product * Math.ceil(side / COARSEST), 1);
  const most = cost([short, LONGEST * short]);
  let [low, high] = [0, short / Math.min(height, width)];
  if (cost(sized(high)) <= most) return sized(high);
  for (let n = 0; n < 50; n++) {
    const middle = (low + high) / 2;
    if (cost(sized(middle)) <= most) low = middle;
    else high = middle;
  }
  return sized(low);
}

/** RGBA bytes of a picture -> Float32Array (3, H, W) in [0, 1] on the grid. */
export function framePixels(rgba, grid) {
  const [h, w] = grid.video;
  const [H, W] = grid.size;
  const out = new Float32Array(3 * H * W);
  for (let c = 0; c < 3; c++) {
    const plane = new Float32Array(h * w);
    for (let i = 0; i < plane.length; i++) plane[i] = rgba[4 * i + c];
    const resized = resize(plane, [h, w], grid.inner, true);
    pad(resized.map((value) => Math.min(255, Math.max(0, value)) / 255), grid, out.subarray(c * H * W, (c + 1) * H * W));
  }
  return out;
}

/** Bytes 0 or 1 of each object -> Float32Array (K, H, W) on the grid. */
export function maskPixels(layers, grid) {
  const [H, W] = grid.size;
  const out = new Float32Array(layers.length * H * W);
  layers.forEach((layer, k) => pad(resize(Float32Array.from(layer), grid.video, grid.inner), grid, out.subarray(k * H * W, (k + 1) * H * W)));
  return out;
}

/** Probabilities (layers, H, W), background first -> the likeliest layer of every pixel of the video. */
export function likeliest(probs, layers, grid) {
  const [H, W] = grid.size;
  const [h, w] = grid.inner;
  const best = new Float32Array(grid.video[0] * grid.video[1]).fill(-1);
  const slots = new Uint8Array(best.length);
  for (let n = 0; n < layers; n++) {
    const inner = new Float32Array(h * w);
    for (let y = 0; y < h; y++) {
      const from = n * H * W + (y + grid.before[0]) * W + grid.before[1];
      inner.set(probs.subarray(from, from + w), y * w);
    }
    const layer = resize(inner, [h, w], grid.video);
    for (let i = 0; i < layer.length; i++) {
      if (layer[i] > best[i]) {
        best[i] = layer[i];
        slots[i] = n;
      }
    }
  }
  return slots;
}

/** Bilinear, and antialiased where it gets smaller; rows first. whole: round to whole numbers after each pass, as torch does with bytes. */
export function resize(plane, [h, w], [H, W], whole = false) {
  if (h === H && w === W) return plane;
  const round = whole ? Math.round : (value) => value;
  const across = new Float32Array(h * W);
  const columns = weightsOf(w, W);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < W; x++) {
      const { first, weights } = columns[x];
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * plane[y * w + first + i];
      across[y * W + x] = round(sum);
    }
  }
  const out = new Float32Array(H * W);
  const rows = weightsOf(h, H);
  for (let y = 0; y < H; y++) {
    const { first, weights } = rows[y];
    for (let i = 0; i < weights.length; i++) {
      const from = (first + i) * W;
      for (let x = 0; x < W; x++) out[y * W + x] += weights[i] * across[from + x];
    }
  }
  return whole ? out.map(round) : out;
}

function weightsOf(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, n) => {
    const centre = scale * (n + 0.5);
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const last = Math.min(from, Math.floor(centre + support + 0.5));
    const weights = Array.from({ length: last - first }, (_, i) => Math.max(0, 1 - Math.abs(i + first - centre + 0.5) / support));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((each) => each / sum) };
  });
}

function pad(inner, grid, out) {
  const [h, w] = grid.inner;
  const [H, W] = grid.size;
  const most = Math.max(...grid.before, H - h - grid.before[0], W - w - grid.before[1]);
  const place = (at, side) => {
    if (grid.mode !== "reflect" || (at >= 0 && at < side)) return at;
    if (most >= Math.min(h, w)) return Math.min(side - 1, Math.max(0, at)); // too small to be mirrored
    return at < 0 ? -at : 2 * side - 2 - at;
  };
  for (let y = 0; y < H; y++) {
    const row = place(y - grid.before[0], h);
    for (let x = 0; x < W; x++) {
      const column = place(x - grid.before[1], w);
      out[y * W + x] = row < 0 || row >= h || column < 0 || column >= w ? 0 : inner[row * w + column];
    }
  }
}
