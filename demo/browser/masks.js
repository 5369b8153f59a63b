// Ids of a frame: as run lengths, which are small, in another size, drawn over its picture, read from a picture.

/** Bytes -> [length, id, length, id, ...]. */
export function encodeRuns(ids) {
  const runs = [];
  for (let i = 0, from = 0; i <= ids.length; i++) {
    if (i === ids.length || ids[i] !== ids[from]) {
      runs.push(i - from, ids[from]);
      from = i;
    }
  }
  return runs;
}

export function decodeRuns(runs, length) {
  const ids = new Uint8Array(length);
  for (let k = 0, i = 0; k < runs.length; k += 2) {
    ids.fill(runs[k + 1], i, i + runs[k]);
    i += runs[k];
  }
  return ids;
}

/** Ids of a picture in another size: of each new pixel the id in its middle. */
export function shrunk(ids, [h, w], [H, W]) {
  const out = new Uint8Array(H * W);
  for (let y = 0, i = 0; y < H; y++) {
    const row = w * Math.floor(((y + 0.5) * h) / H);
    for (let x = 0; x < W; x++) out[i++] = ids[row + Math.floor(((x + 0.5) * w) / W)];
  }
  return out;
}

const LONGEST_RUN = 0xfffff;

/** Frames of run lengths -> the gzip that the player reads: of each frame the number of its runs, then each as place * 2^20 + length. */
export async function forPlayer(frames, objects) {
  const words = [];
  for (const runs of frames) {
    const start = words.push(0) - 1;
    for (let k = 0; k < runs.length; k += 2) {
      const place = 1 + objects.indexOf(runs[k + 1]);
      for (let left = runs[k]; left > 0; left -= LONGEST_RUN) words.push(place * (LONGEST_RUN + 1) + Math.min(left, LONGEST_RUN));
    }
    words[start] = words.length - start - 1;
  }
  return new Response(new Blob([Uint32Array.from(words)]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
}

/** A picture's ImageData with each object in its colour, and a rim around it. colours: [[r, g, b], ...] of ids 1, 2, ... */
export function tinted(picture, ids, colours) {
  const { width, height } = picture;
  const out = new ImageData(new Uint8ClampedArray(picture.data), width, height);
  const rim = Math.max(1, Math.round(Math.min(width, height) / 240));
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (!id) continue;
    const x = i % width;
    const edge = (x >= rim && ids[i - rim] !== id) || (x < width - rim && ids[i + rim] !== id) ||
      (i >= rim * width && ids[i - rim * width] !== id) || (i + rim * width < ids.length && ids[i + rim * width] !== id);
    const colour = colours[(id - 1) % colours.length];
    for (let c = 0; c < 3; c++) out.data[4 * i + c] = edge ? colour[c] : (out.data[4 * i + c] + colour[c]) / 2;
  }
  return out;
}

/** The ids that a mask's picture shows: each colour but black is one, in the order of its first pixel. */
export function idsOfPicture({ data, width, height }, most) {
  const seen = new Map([[0, 0]]);
  const ids = new Uint8Array(width * height);
  for (let i = 0; i < ids.length; i++) {
    const colour = data[4 * i + 3] ? (data[4 * i] << 16) | (data[4 * i + 1] << 8) | data[4 * i + 2] : 0;
    if (!seen.has(colour)) {
      if (seen.size > most) throw new Error(`This mask has more than ${most} colours. Save it as a PNG without soft edges, one colour an object on black.`);
      seen.set(colour, seen.size);
    }
    ids[i] = seen.get(colour);
  }
  if (seen.size < 2) throw new Error("This mask is black all over: an object is painted in a colour.");
  return ids;
}
