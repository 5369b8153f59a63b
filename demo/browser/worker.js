// The model computes here, so that the page stays awake. Asked by { call, ...}; answers { done } or { failed }, and { fetched } meanwhile.

import { Follower } from "./follow.js";
import { Model } from "./model.js";
import { Pointer } from "./pointing.js";

const base = new URL(".", import.meta.url);
const AGREED = 0.02; // of probabilities, by which a graphics card may differ from the processor
const runtimes = {}; // onnxruntime-web for the processor and for a graphics card, when they are first needed

let model = null, opened = null, follower = null; // opened: what was asked for, and what came of it
let pointing = null, pointer = null; // what points, and the picture that it looks at

const CALLS = {
  /** Opens the graphs, unless they are open: in a precision, or in float32 on the graphics card. Gives { card, why }, why it is not used. */
  async open({ precision, card }) {
    if (opened?.precision === precision && opened.asked === card) return opened;
    const manifest = await (await asked("model/export.json")).json();
    const fetching = (kind) => {
      const files = new Set(Object.values(manifest.graphs).map(({ files }) => files[kind].file));
      let fetched = 0;
      return async (file) => {
        const bytes = await bytesOf(`model/${file}`);
        postMessage({ fetched: ++fetched / files.size });
        return bytes;
      };
    };
    opened = null;
    let why = "";
    if (card) {
      try {
        model = await onCard(manifest, fetching("float32"));
      } catch (error) {
        why = error.message || String(error);
      }
    }
    if (!card || why) model = await Model.open(await runtime("wasm"), manifest, fetching(precision), precision);
    opened = { precision, asked: card, card: card && !why, why };
    return opened;
  },
  /** Opens what points, unless it is open. */
  async openPointer() {
    if (pointing) return;
    const manifest = await (await asked("pointer/pointing.json")).json();
    pointing = await Model.open(await runtime("wasm"), manifest, (file) => bytesOf(`pointer/${file}`), "int8");
  },
  /** Looks at a picture, which is what `point` is about from here on. */
  async look({ rgba, size }) {
    await CALLS.openPointer();
    pointer = new Pointer(pointing, rgba, size);
  },
  /** Bytes 0 and 1 of an object; snap: what was there before is a ring around it. */
  point({ points, box, before, snap }) {
    return snap ? pointer.snapped(before) : pointer.mask({ points, box, before });
  },
  /** Begins with a video of this size. */
  start({ size }) {
    follower = new Follower(model, size);
  },
  /** The ids of the next frame. */
  next({ rgba, marked }) {
    return follower.next(rgba, marked);
  },
};

/** The graphs on the graphics card. An Error where it gives other masks than the processor, as some do. */
async function onCard(manifest, fetched) {
  const bytes = new Map(), once = async (file) => {
    if (!bytes.has(file)) bytes.set(file, await fetched(file));
    return bytes.get(file);
  };
  const onIt = await Model.open(await runtime("webgpu"), manifest, once, "float32", "webgpu");
  const beside = await Model.open(await runtime("wasm"), manifest, once, "float32");
  const [found, expected] = [await probed(onIt), await probed(beside)];
  await beside.close();
  const far = found.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
  if (far <= AGREED) return onIt;
  await onIt.close();
  throw new Error("the graphics card computes other masks than the processor");
}

/** Probabilities of the second frame of a small clip. */
async function probed(model) {
  const size = [96, 128], pixels = size[0] * size[1], follower = new Follower(model, size);
  const picture = (shift) => Uint8ClampedArray.from({ length: 4 * pixels }, (_, i) => ((i + 4 * shift) * 2654435761) >>> 24);
  const ids = Uint8Array.from({ length: pixels }, (_, i) => Number(Math.abs((i % size[1]) - 64) < 24 && Math.abs(Math.floor(i / size[1]) - 48) < 20));
  await follower.next(picture(0), { ids, given: [1] });
  await follower.next(picture(3), null);
  return follower.probs;
}

async function runtime(kind) {
  if (!runtimes[kind]) {
    const ort = await import(`./vendor/ort.${kind}.min.mjs`);
    ort.env.wasm.wasmPaths = new URL("vendor/", base).href;
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
    ort.env.logLevel = "error";
    runtimes[kind] = ort;
  }
  return runtimes[kind];
}

const bytesOf = async (path) => new Uint8Array(await (await asked(path)).arrayBuffer());

async function asked(path) {
  const answer = await fetch(new URL(path, base));
  if (!answer.ok) throw new Error(`${path} is missing here (${answer.status}): build the page again`);
  return answer;
}

onmessage = async ({ data: { call, ...given } }) => {
  try {
    const done = await CALLS[call](given);
    postMessage({ done }, done?.buffer ? [done.buffer] : []);
  } catch (error) {
    postMessage({ failed: error.message || String(error) });
  }
};
