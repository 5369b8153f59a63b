// The page: choose a clip, mark, follow, watch and download. What computes is worker.js; nothing leaves this machine.

import { openClip, pictureOf } from "./clips.js";
import { Film } from "./film.js";
import { decodeRuns, encodeRuns, forPlayer, idsOfPicture, shrunk, tinted } from "./masks.js";
import { asPng, asZip } from "./packing.js";
import { makePainter, makePlayer } from "./parts.js";
import { Engine } from "./engine.js";

const $ = (id) => document.getElementById(id);
const MOST_OBJECTS = 6, KEY_FRAMES = 6, PLAYER_HEIGHT = 480;
const painter = makePainter($("painter"), { visit: ({ frame }) => guarded(visit)(frame), forget: ({ frame }) => guarded(forget)(frame), follow: () => guarded(follow)(), point });
const player = makePlayer($("player"), { correct: ({ frame }) => guarded(correct)(frame), look: ({ objects }) => renamed(objects) });
const COLOURS = $("painter").querySelector(".vp").dataset.colours.split(",");
const colours = COLOURS.map((each) => [1, 3, 5].map((k) => parseInt(each.slice(k, k + 2), 16)));
const engine = new Engine();

let clip = null;
let marks = new Map(); // frame -> { runs, touched, loaded }, as the painter sends them
let looks = []; // { name, colour } of objects 1, 2, ...
let results = null; // { begin, masks: [run lengths of a frame], small: the same in the player's size, seconds }
let stopped = false, urls = [];
let pointed = { clip: null, frame: -1 }; // the picture that the worker looks at

// ---- choose

async function choose(files) {
  if (!files.length) return;
  await begin(await opening(files));
}

async function pick({ clip: file, runs }) {
  const answer = await fetch(new URL(`examples/${file}`, document.baseURI));
  if (!answer.ok) throw new Error(`The example ${file} is missing here.`);
  await begin(await opening([new File([await answer.blob()], file, { type: "video/mp4" })]), runs);
}

function begin(opened, runs) {
  clip = opened;
  marks = new Map(runs ? [[0, { runs, touched: [1], loaded: [] }]] : []);
  looks = COLOURS.map((colour, k) => ({ name: `Object ${k + 1}`, colour }));
  results = null;
  if (window.vosZoo.points) engine.openPointer().catch(() => { /* told at the first click */ });
  $("facts").replaceChildren(bold(clip.name), ...[`${clip.frames} frames`, `${clip.size[1]} × ${clip.size[0]}`, `${clip.fps.toFixed(clip.fps % 1 ? 2 : 0)} frames per second`].map(span));
  return show(0, { fresh: true }).then(() => see("mark"));
}

// ---- mark

/** The painter with a frame of the clip, what is drawn on it, and the result there. */
async function show(frame, { fresh = false, correct = false } = {}) {
  const picture = await clip.picture(frame);
  const [height, width] = clip.size;
  const drawn = marks.get(frame) ?? { runs: [width * height, 0], touched: [], loaded: [] };
  const result = results?.masks[frame - results.begin] ?? null;
  painter.show({
    mode: "draw", frame, frames: clip.frames, fps: clip.fps, height, width, picture: address(picture), ...drawn, result,
    marks: [...marks].map(([at, mark]) => ({ frame: at, ...told(mark) })), note: "", points: window.vosZoo.points, fresh, correct, objects: looks,
  });
}

/** A click, a box or a ring on the painter gets its mask, or a sentence that says why not. */
async function point({ frame, object, points, box, before, snap }) {
  const answer = { mode: "mask", frame, object, runs: null, note: "" };
  const [height, width] = clip.size;
  try {
    if (pointed.clip !== clip || pointed.frame !== frame) {
      await engine.look((await clip.picture(frame)).data.slice(), clip.size);
      pointed = { clip, frame };
    }
    const inside = await engine.point({ points, box, before: before && decodeRuns(before, height * width), snap });
    answer.runs = encodeRuns(inside);
  } catch (error) {
    answer.note = error.message || String(error);
  }
  painter.answer(answer);
}

/** Objects were given names and colours in the player. */
function renamed(objects) {
  for (const { id, name, colour } of objects) looks[id - 1] = { name, colour };
}

function told({ runs, touched }) {
  const there = new Set(runs.filter((_, k) => k % 2));
  return { objects: touched.filter((id) => there.has(id)), gone: touched.filter((id) => !there.has(id)) };
}

/** What the painter holds goes to the marks. */
function keep() {
  const drawn = painter.value;
  if (!drawn || drawn.runs === undefined || drawn.mode) return;
  if (drawn.touched.length) marks.set(drawn.frame, { runs: drawn.runs, touched: drawn.touched, loaded: drawn.loaded });
  else marks.delete(drawn.frame);
}

async function visit(frame) {
  keep();
  await show(frame);
}

async function forget(frame) {
  const shown = painter.frame;
  if (frame !== shown) keep();
  marks.delete(frame);
  await show(shown);
}

async function takeMask(file) {
  const picture = await pictureOf(file);
  const [height, width] = clip.size;
  if (picture.height !== height || picture.width !== width) {
    throw new Error(`${file.name} is ${picture.width} x ${picture.height} pixels and the clip ${width} x ${height}: save it in the clip's size.`);
  }
  const runs = encodeRuns(idsOfPicture(picture, MOST_OBJECTS));
  marks.set(painter.frame, { runs, touched: [...new Set(runs.filter((id, k) => k % 2 && id))], loaded: [] });
  await show(painter.frame);
}

async function correct(frame) {
  await show(frame, { correct: true });
  see("mark");
}

// ---- follow

async function follow() {
  keep();
  const [height, width] = clip.size;
  const firsts = [...marks].filter(([, mark]) => told(mark).objects.length).map(([frame]) => frame);
  if (!firsts.length) throw new Error("Nothing is marked: click on an object first, or paint it.");
  const first = Math.min(...firsts);
  stopped = false;
  results = { begin: first, masks: [], small: [], seconds: 0 };
  see("run");
  progress("Fetching the model", 0);
  const precision = $("exact").checked || !window.vosZoo.precisions.includes("int8") ? "float32" : "int8";
  const { card, why } = await engine.open(precision, $("card").checked, (share) => progress("Fetching the model", share));
  await engine.start(clip.size);
  const scale = Math.min(1, PLAYER_HEIGHT / height);
  const panel = [Math.round((width * scale) / 2) * 2, Math.round((height * scale) / 2) * 2];
  const films = [await Film.open(width, height, clip.fps), await Film.open(2 * panel[0], panel[1], clip.fps)];
  const strip = [], every = Math.max(1, Math.floor((clip.frames - first) / KEY_FRAMES));
  let n = first;
  for await (const picture of clip.from(first)) {
    if (stopped) break;
    const began = performance.now();
    const ids = await engine.next(picture.data.slice(), given(marks.get(n), height * width));
    results.seconds += (performance.now() - began) / 1000;
    results.masks.push(encodeRuns(ids));
    results.small.push(encodeRuns(shrunk(ids, clip.size, [panel[1], panel[0]])));
    const overlay = tinted(picture, ids, colours);
    live(overlay);
    await films[0]?.add((context) => context.putImageData(overlay, 0, 0));
    const pair = await Promise.all([picture, overlay].map((each) => createImageBitmap(each)));
    await films[1]?.add((context) => pair.forEach((each, k) => context.drawImage(each, k * panel[0], 0, ...panel)));
    pair.forEach((each) => each.close());
    if ((n - first) % every === 0 && strip.length < KEY_FRAMES) strip.push({ frame: n, picture: thumbnail(overlay) });
    n++;
    progress("Following", (n - first) / (clip.frames - first), `frame ${n - 1} of ${clip.frames - 1}`);
  }
  if (!results.masks.length) { see("mark"); return; }
  await finish(films, panel, strip, card ? " on its graphics card" : why && ` (not on the graphics card: ${why})`);
}

/** A mark as the worker takes it: all of its objects, those too that are gone from this frame. */
function given(mark, pixels) {
  return mark ? { ids: decodeRuns(mark.runs, pixels), given: mark.touched } : null;
}

async function finish(films, panel, strip, where) {
  const [overlay, pair] = await Promise.all(films.map((film) => film?.finish()));
  const done = results.masks.length;
  $("done").textContent = stopped ? `Stopped after ${done} frames` : "Done";
  const speed = done / results.seconds;
  $("told").textContent = `${done} frames, ${speed.toFixed(speed < 10 ? 2 : 1)} a second in this browser${where}.` + (overlay ? "" : " This browser makes no videos: the masks are complete.");
  for (const url of urls.splice(0)) URL.revokeObjectURL(url);
  if (pair) {
    const ids = [...new Set(results.masks.flatMap((runs) => runs.filter((id, k) => k % 2 && id)))].sort();
    player.show({
      mode: "ready", video: { url: lasting(pair) }, panels: ["Original", "Overlay"], height: panel[1], width: panel[0], fps: clip.fps,
      begin: results.begin, frames: done, strip,
      objects: ids.map((id) => ({ id, ...looks[id - 1], drawn: COLOURS[id - 1], shown: true })),
      masks: [{ ids, file: { url: lasting(await forPlayer(results.small, ids)) } }],
    });
  } else player.show({ mode: "empty" });
  const stem = clip.name.replace(/\.[^.]*$/, "") || "clip";
  $("saved").replaceChildren(
    file("Masks", "an indexed PNG a frame, in a zip", `${stem}_masks.zip`, () => masksZip()),
    ...(overlay ? [file("Overlay", `the clip with the objects in colour · ${Math.max(0.1, overlay.size / 1e6).toFixed(1)} MB`, `${stem}_overlay.${films[0].ending}`, () => overlay)] : []),
  );
  window.vosZoo.results = results;
  see("watch");
}

async function masksZip() {
  const [height, width] = clip.size, pngs = [];
  for (const [k, runs] of results.masks.entries()) {
    const png = await asPng(decodeRuns(runs, height * width), width, height, colours);
    pngs.push([`${String(results.begin + k).padStart(5, "0")}.png`, new Uint8Array(await png.arrayBuffer())]);
  }
  return asZip(pngs);
}

// ---- small things

/** A row that downloads what `make` gives. */
function file(title, words, name, make) {
  const row = Object.assign(document.createElement("a"), { href: "#", textContent: title });
  row.append(span(words));
  row.dataset.file = name;
  row.onclick = guarded(async (event) => {
    event.preventDefault();
    const link = Object.assign(document.createElement("a"), { href: lasting(await make()), download: name });
    link.click();
  });
  return row;
}

function lasting(blob) {
  const url = URL.createObjectURL(blob);
  urls.push(url);
  return url;
}

function drawn(picture, width = picture.width, height = picture.height) {
  const whole = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
  whole.getContext("2d").putImageData(picture, 0, 0);
  if (width === picture.width) return whole;
  const small = Object.assign(document.createElement("canvas"), { width, height });
  small.getContext("2d").drawImage(whole, 0, 0, width, height);
  return small;
}

const address = (picture) => drawn(picture).toDataURL("image/png");
const thumbnail = (picture) => drawn(picture, 160, Math.round((160 * picture.height) / picture.width)).toDataURL("image/jpeg", 0.8);

function live(picture) {
  const canvas = $("live");
  if (canvas.width !== picture.width || canvas.height !== picture.height) Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function progress(words, share, count = "") {
  $("doing").textContent = words;
  $("bar").style.width = `${100 * share}%`;
  $("count").textContent = count;
  const done = results?.masks.length ?? 0;
  const seconds = done > 1 ? (results.seconds / done) * (clip.frames - results.begin - done) : 0;
  $("left").textContent = seconds > 1 ? `about ${seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`} left` : "";
}

function see(...steps) {
  for (const step of ["choose", "mark", "run", "watch"]) $(step).hidden = !steps.includes(step);
  $("failed").hidden = true;
  window.scrollTo({ top: 0 });
}

/** Opens a clip, and says so meanwhile. */
async function opening(files) {
  const words = $("opening").textContent;
  $("opening").textContent = "Opening it ...";
  $("failed").hidden = true;
  try {
    return await openClip(files);
  } finally {
    $("opening").textContent = words;
  }
}

/** Work whose error is told on the page. */
function guarded(work) {
  return async (...args) => {
    try {
      return await work(...args);
    } catch (error) {
      if (!$("run").hidden) see("mark");
      $("why").textContent = error.message || String(error);
      $("failed").hidden = false;
      $("failed").scrollIntoView({ block: "nearest" });
      return null;
    }
  };
}

const bold = (words) => Object.assign(document.createElement("b"), { textContent: words });
const span = (words) => Object.assign(document.createElement("span"), { textContent: words });

async function shelf() {
  const { examples, precisions, points } = await (await fetch(new URL("site.json", document.baseURI))).json();
  Object.assign(window.vosZoo, { precisions, points });
  $("precision").hidden = precisions.length < 2;
  $("shelf").replaceChildren(...examples.map((example) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const image = Object.assign(document.createElement("img"), { src: `examples/${example.picture}`, alt: "" });
    const words = document.createElement("span");
    words.append(bold(example.title), example.words);
    button.append(image, words);
    button.onclick = guarded(() => pick(example));
    return button;
  }));
}

/** A graphics card is used where there is one, unless it is only a program that does as if. */
async function offerCard() {
  const adapter = window.vosZoo.precisions.includes("float32") ? await navigator.gpu?.requestAdapter() : null;
  $("graphics").hidden = !adapter;
  $("card").checked = Boolean(adapter) && !adapter.isFallbackAdapter && adapter.info?.architecture !== "swiftshader";
}

async function installOffline() {
  if (!("serviceWorker" in navigator)) return;
  await navigator.serviceWorker.register(new URL("offline.js", document.baseURI));
  await navigator.serviceWorker.ready;
  $("offline").textContent = "The page is kept in this browser now, and works without a network.";
}

window.vosZoo = { results: null, precisions: ["float32"], points: false, runsToIds: decodeRuns };
const night = matchMedia("(prefers-color-scheme: dark)").matches;
document.body.classList.toggle("dark", night);
$("look").onclick = () => document.body.classList.toggle("dark");
$("files").onchange = guarded(async ({ target }) => { await choose(target.files); target.value = ""; });
$("mask-file").onchange = guarded(async ({ target }) => { if (target.files.length) await takeMask(target.files[0]); target.value = ""; });
$("another").onclick = () => { clip = null; see("choose"); };
$("cancel").onclick = () => { stopped = true; $("doing").textContent = "Stopping after this frame"; };
$("drop").ondragover = (event) => event.preventDefault();
$("drop").ondrop = guarded(async (event) => { event.preventDefault(); await choose(event.dataTransfer.files); });
guarded(shelf)().then(offerCard).catch(() => { /* the processor does it */ });
installOffline().catch(() => { /* a private window, or no secure address: the page works all the same, but not offline */ });
