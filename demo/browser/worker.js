// The model computes here, so that the page stays awake. Asked by { call, ...}; answers { done } or { failed }, and { fetched } meanwhile.

import * as ort from "./vendor/ort.wasm.min.mjs";
import { Follower, Model } from "./follow.js";
import { Pointer, PointingModel } from "./pointing.js";

const base = new URL(".", import.meta.url);
ort.env.wasm.wasmPaths = new URL("vendor/", base).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
ort.env.logLevel = "error";

let model = null, opened = "", follower = null;
let pointing = null, pointer = null; // what points, and the picture that it looks at

const CALLS = {
  /** Opens the graphs in a precision, unless they are open. */
  async open({ precision }) {
    if (opened === precision) return;
    const manifest = await (await asked("model/export.json")).json();
    const files = new Set(Object.values(manifest.graphs).map(({ files }) => files[precision].file));
    let fetched = 0;
    model = await Model.open(ort, manifest, async (file) => {
      const bytes = await bytesOf(`model/${file}`);
      postMessage({ fetched: ++fetched / files.size });
      return bytes;
    }, precision);
    opened = precision;
  },
  /** Opens what points, unless it is open. */
  async openPointer() {
    const told = pointing ? null : await (await asked("pointer/pointing.json")).json();
    pointing ??= await PointingModel.open(ort, told, (file) => bytesOf(`pointer/${file}`), "int8");
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
