// The model computes here, so that the page stays awake. Asked by { call, ...}; answers { done } or { failed }, and { fetched } meanwhile.

import * as ort from "./vendor/ort.wasm.min.mjs";
import { Follower, Model } from "./follow.js";

const base = new URL(".", import.meta.url);
ort.env.wasm.wasmPaths = new URL("vendor/", base).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
ort.env.logLevel = "error";

let model = null, opened = "", follower = null;

const CALLS = {
  /** Opens the graphs in a precision, unless they are open. */
  async open({ precision }) {
    if (opened === precision) return;
    const manifest = await (await asked("model/export.json")).json();
    const files = new Set(Object.values(manifest.graphs).map(({ files }) => files[precision].file));
    let fetched = 0;
    model = await Model.open(ort, manifest, async (file) => {
      const bytes = new Uint8Array(await (await asked(`model/${file}`)).arrayBuffer());
      postMessage({ fetched: ++fetched / files.size });
      return bytes;
    }, precision);
    opened = precision;
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
