// The painter's parts and state, and what is done to ids. They lie in `labels`, one byte a pixel of the picture; the server gets run lengths.
const root = element.querySelector(".vp");
const find = (selector) => root.querySelector(selector);
const stage = find(".vp-stage"), framed = find(".vp-frame"), painted = find(".vp-paint"), cursor = find(".vp-cursor");
const range = find(".vp-range"), now = find(".vp-now"), size = find(".vp-size input"), fill = find(".vp-fill input"), snap = find(".vp-snap input");
const rgbOf = () => root.dataset.colours.split(",").map((c) => [1, 3, 5].map((k) => parseInt(c.slice(k, k + 2), 16)));
let colours = rgbOf();
// Objects as the visitor called and coloured them in a result.
const call = (objects) => {
  root.dataset.colours = objects.map(({ colour }) => colour).join(",");
  colours = rgbOf();
  objects.forEach(({ name, colour }, k) => {
    const input = find(`.vp-object input[value="${k + 1}"]`);
    input.setAttribute("aria-label", name);
    input.parentElement.title = name;
    input.parentElement.style.setProperty("--c", colour);
  });
};

let at = null; // what the server showed last, without the picture
let width = 1, height = 1, labels = new Uint8Array(1), result = null;
let touched = new Set(), loaded = new Set(), past = [];
const HINTS = { point: "A click finds the whole object. Something is missing? Click there too.", not: "Click on what was coloured by mistake.",
  box: "Draw a box around the object.", pen: "Paint the object, or circle it.", eraser: "Wipe away what does not belong to it." };
const kept = new Map(); // frame -> what can be undone there
let object = 1, tool = "point", said = {}, future = [], asking = false, fitting = false, later = null, corner = null, last = null, holes = null, path = [], spot = null, tapped = null, penDown = false, drawing = false;

// What brings the visit back when the page is loaded again: its key, and what was drawn since the server was told.
const keep = (drawing) => {
  try {
    if (at) sessionStorage.setItem("vos-zoo-visit", JSON.stringify({ key: at.key, drawing }));
    else sessionStorage.removeItem("vos-zoo-visit");
  } catch { /* private window, or too much: it holds for this page */ }
};

const decode = (runs) => {
  const ids = new Uint8Array(width * height);
  for (let k = 0, i = 0; k < runs.length; k += 2) { ids.fill(runs[k + 1], i, i + runs[k]); i += runs[k]; }
  return ids;
};
const encode = (ids) => {
  const runs = [];
  for (let i = 0, from = 0; i <= ids.length; i++)
    if (i === ids.length || ids[i] !== ids[from]) { runs.push(i - from, ids[from]); from = i; }
  return runs;
};

// Pixels that the border can't reach without crossing object k.
const enclosed = (k) => {
  const free = new Uint8Array(width * height).fill(1), todo = [];
  const reach = (i) => { if (free[i] && labels[i] !== k) { free[i] = 0; todo.push(i); } };
  for (let x = 0; x < width; x++) { reach(x); reach((height - 1) * width + x); }
  for (let y = 0; y < height; y++) { reach(y * width); reach(y * width + width - 1); }
  while (todo.length) {
    const i = todo.pop(), x = i % width;
    if (x > 0) reach(i - 1);
    if (x < width - 1) reach(i + 1);
    if (i >= width) reach(i - width);
    if (i < (height - 1) * width) reach(i + width);
  }
  for (let i = 0; i < free.length; i++) if (labels[i] === k) free[i] = 0;
  return free;
};

// Pixels inside the way that the brush went, if it came back to where it began: also where the way left the picture.
const circled = () => {
  const inside = new Uint8Array(width * height), far = path.reduce((d, [x, y]) => Math.max(d, Math.hypot(x - path[0][0], y - path[0][1])), 0);
  const open = Math.hypot(path.at(-1)[0] - path[0][0], path.at(-1)[1] - path[0][1]);
  if (path.length < 8 || open > 0.35 * far) return inside;
  for (let y = 0; y < height; y++) {
    const crossings = [];
    path.forEach(([x0, y0], k) => {
      const [x1, y1] = path[(k + 1) % path.length];
      if (y0 <= y + 0.5 !== y1 <= y + 0.5) crossings.push([x0 + ((y + 0.5 - y0) * (x1 - x0)) / (y1 - y0), y1 > y0 ? 1 : -1]);
    });
    crossings.sort((a, b) => a[0] - b[0]);
    for (let k = 0, turns = 0; k < crossings.length - 1; k++) {
      turns += crossings[k][1];
      if (turns) inside.fill(1, y * width + Math.min(width, Math.max(0, Math.round(crossings[k][0]))), y * width + Math.min(width, Math.max(0, Math.round(crossings[k + 1][0]))));
    }
  }
  return inside;
};
// Whether the way of the brush is bent like a ring, and no line.
const bent = () => {
  const span = (k) => Math.max(...path.map((p) => p[k])) - Math.min(...path.map((p) => p[k])), across = Math.min(span(0), span(1));
  return across > 2 * Number(size.value) && across > 0.3 * Math.max(span(0), span(1));
};
