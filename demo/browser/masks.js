// Ids of a frame: as run lengths, which are small; drawn over its picture; as an indexed PNG; several PNGs as a zip.

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

/** An indexed PNG, its pixels the ids, as DAVIS has them. */
export async function asPng(ids, width, height, colours) {
  const rows = new Uint8Array(height * (width + 1)); // each begins with 0: no filter
  for (let y = 0; y < height; y++) rows.set(ids.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const head = new Uint8Array(13);
  new DataView(head.buffer).setUint32(0, width);
  new DataView(head.buffer).setUint32(4, height);
  head.set([8, 3, 0, 0, 0], 8);
  const palette = new Uint8Array(3 * 256);
  for (let id = 1; id < 256; id++) palette.set(colours[(id - 1) % colours.length], 3 * id);
  const packed = new Uint8Array(await new Response(new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer());
  return new Blob([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    ...chunk("IHDR", head), ...chunk("PLTE", palette), ...chunk("IDAT", packed), ...chunk("IEND", new Uint8Array()),
  ], { type: "image/png" });
}

function chunk(name, bytes) {
  const named = new Uint8Array(4 + bytes.length);
  named.set(new TextEncoder().encode(name));
  named.set(bytes, 4);
  return [number(bytes.length, false), named, number(crc(named), false)];
}

/** files: [name, Uint8Array] each -> a zip that does not pack them again. */
export function asZip(files) {
  const parts = [], index = [];
  let at = 0;
  for (const [name, bytes] of files) {
    const title = new TextEncoder().encode(name);
    const facts = [...halves(20, 0, 0, 0, 0x5a21), number(crc(bytes)), number(bytes.length), number(bytes.length), ...halves(title.length, 0)];
    const local = [number(0x04034b50), ...facts, title, bytes];
    index.push(number(0x02014b50), ...halves(20), ...facts, ...halves(0, 0, 0), number(0), number(at), title);
    parts.push(...local);
    at += lengthOf(local);
  }
  const end = [number(0x06054b50), ...halves(0, 0, files.length, files.length), number(lengthOf(index)), number(at), ...halves(0)];
  return new Blob([...parts, ...index, ...end], { type: "application/zip" });
}

const lengthOf = (parts) => parts.reduce((sum, part) => sum + part.length, 0);
const halves = (...values) => values.map((value) => Uint8Array.of(value & 255, value >> 8));

function number(value, little = true) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, little);
  return bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
