// Files to take away: a frame's ids as an indexed PNG, and many files as a zip.

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
