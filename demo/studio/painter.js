// The painter's behaviour: what is clicked and drawn, what the server answers, what it shows.
const seconds = (frame) => (frame / at.fps).toFixed(2) + " s";

const paint = () => {
  drawing = false;
  const context = painted.getContext("2d"), image = context.createImageData(width, height), data = image.data;
  const differs = (ids, i, x) => (x > 0 && ids[i - 1] !== ids[i]) || (x < width - 1 && ids[i + 1] !== ids[i]) ||
    (i >= width && ids[i - width] !== ids[i]) || (i + width < ids.length && ids[i + width] !== ids[i]);
  for (let i = 0; i < labels.length; i++) {
    const x = i % width;
    let k = labels[i], alpha = 0;
    if (k) alpha = differs(labels, i, x) ? 255 : 130;
    else if (result && result[i] && differs(result, i, x) && (x + Math.floor(i / width)) % 8 < 5) { k = result[i]; alpha = 255; }
    if (alpha) { const c = colours[k - 1]; data[4 * i] = c[0]; data[4 * i + 1] = c[1]; data[4 * i + 2] = c[2]; data[4 * i + 3] = alpha; }
  }
  context.putImageData(image, 0, 0);
  const dot = Math.max(2.5, width / 130);
  for (const [k, { points, box }] of Object.entries(said)) {
    context.strokeStyle = root.dataset.colours.split(",")[k - 1];
    context.lineWidth = dot / 2;
    if (box) context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
    for (const [x, y, positive] of points) {
      context.beginPath();
      context.arc(x + 0.5, y + 0.5, dot, 0, 7);
      context.fillStyle = positive ? "#fff" : "#111";
      context.fill();
      context.stroke();
    }
  }
  if (corner && last) { context.strokeStyle = "#fff"; context.lineWidth = dot / 2; context.strokeRect(corner[0], corner[1], last[0] - corner[0], last[1] - corner[1]); }
};
const repaint = () => { if (!drawing) { drawing = true; requestAnimationFrame(paint); } };

const send = () => {
  props.value = { frame: at.frame, height, width, touched: [...touched], loaded: [...loaded], runs: touched.size ? encode(labels) : [] };
  keep(props.value);
  showMarks();
};
const snapshot = () => [labels.slice(), new Set(touched), new Set(loaded), structuredClone(said)];
const remember = () => { past.push(snapshot()); future = []; if (past.length > 30) past.shift(); kept.set(at.frame, { past, future }); };

// What is said of an object by clicks and a box goes to the server, which answers with its mask.
const saidOf = (k) => (said[k] ??= { points: [], box: null, before: labels.includes(k) ? encode(labels.map((id) => +(id === k))) : null });
const ask = (k) => {
  if (asking) { later = k; return; }
  asking = true;
  stage.dataset.asking = "yes";
  trigger("point", { frame: at.frame, object: k, ...said[k] });
};
// A ring is loose: the server fits it to the object inside. Undo brings the ring back.
const fit = (k) => {
  if (asking) return;
  remember();
  asking = fitting = true;
  stage.dataset.asking = "yes";
  trigger("point", { frame: at.frame, object: k, points: [], box: null, before: encode(labels.map((id) => +(id === k))), snap: true });
};
const click = (x, y, positive) => {
  const known = said[object] || labels.includes(object);
  if (!positive && !known) { tell("First click on the object itself, then on what does not belong to it."); return; }
  remember();
  saidOf(object).points.push([x - 0.5, y - 0.5, +positive]);
  tell("");
  repaint();
  ask(object);
};
const boxed = (x0, y0, x1, y1) => {
  if (Math.abs(x1 - x0) < 3 || Math.abs(y1 - y0) < 3) { tell("That box is too small: draw it around the whole object."); repaint(); return; }
  remember();
  saidOf(object).box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
  tell("");
  repaint();
  ask(object);
};
const answered = ({ frame, object: k, runs, note }) => {
  const fitted = fitting;
  asking = fitting = false;
  delete stage.dataset.asking;
  if (at && frame === at.frame && (said[k] || fitted)) {
    if (!runs) { undo(); future = []; }
    else {
      decode(runs).forEach((inside, i) => {
        if (inside) { if (labels[i] && labels[i] !== k) touched.add(labels[i]); labels[i] = k; }
        else if (labels[i] === k) labels[i] = 0;
      });
      touched.add(k);
      repaint();
      send();
    }
  }
  if (note) tell(note);
  else if (fitted && runs) tell("Fitted to the object. Not what you meant? Undo brings your own drawing back.");
  else tellTiny(k);
  if (later !== null) { const next = later; later = null; if (said[next]) ask(next); }
  if (waiting && !asking) follow();
};
const tell = (words) => { find(".vp-note").textContent = words; };
const tellTiny = (k) => {
  const pixels = labels.reduce((sum, id) => sum + (id === k), 0);
  if (pixels && pixels < 0.0004 * labels.length) tell("This mark is tiny. Is it what you meant? Zoom in to see it.");
};

const stamp = (x, y) => {
  const r = Number(size.value) / 2, erasing = tool === "eraser", value = erasing ? 0 : object;
  for (let j = Math.max(0, Math.floor(y - r)); j <= Math.min(height - 1, Math.ceil(y + r)); j++)
    for (let i = Math.max(0, Math.floor(x - r)); i <= Math.min(width - 1, Math.ceil(x + r)); i++)
      if ((i + 0.5 - x) ** 2 + (j + 0.5 - y) ** 2 <= r * r) {
        const old = labels[j * width + i];
        if (erasing && old !== object) continue; // the eraser takes the chosen object only
        if (old && old !== value) touched.add(old);
        labels[j * width + i] = value;
      }
};
const begin = (x, y, instead) => {
  if (!at || at.mode !== "draw" || stage.dataset.busy) return;
  if (tool === "point" || tool === "not") { click(x, y, (tool === "point") !== Boolean(instead)); return; }
  if (tool === "box") { corner = last = [x, y]; return; }
  remember();
  delete said[object]; // painted over: what is clicked from here on corrects the painting
  touched.add(object);
  holes = tool === "pen" && fill.checked ? enclosed(object) : null;
  last = [x, y];
  path = [last];
  stamp(x, y);
  repaint();
};
const go = (x, y) => {
  if (!last) return;
  if (corner) { last = [x, y]; repaint(); return; }
  const steps = Math.max(1, Math.ceil(Math.hypot(x - last[0], y - last[1])));
  for (let k = 1; k <= steps; k++) stamp(last[0] + ((x - last[0]) * k) / steps, last[1] + ((y - last[1]) * k) / steps);
  last = [x, y];
  path.push(last);
  repaint();
};
const end = () => {
  if (!last) return;
  if (corner) { const [from, to] = [corner, last]; corner = last = null; boxed(...from, ...to); return; }
  last = null;
  tell("");
  let filled = 0;
  if (holes) {
    const way = circled();
    enclosed(object).forEach((inside, i) => { if ((way[i] || (inside && !holes[i])) && !labels[i]) { labels[i] = object; filled++; } });
    if (!filled && bent()) tell("The ring is not closed, so nothing was filled. Draw on to where you began.");
  }
  if (tool === "pen" && !find(".vp-note").textContent) tellTiny(object);
  repaint();
  send();
  if (filled && snap.checked && root.dataset.points === "yes") fit(object);
};

const place = (event) => {
  const box = painted.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
};
const showCursor = (x, y) => {
  const box = painted.getBoundingClientRect(), outer = stage.getBoundingClientRect(), scale = box.width / width;
  const d = tool === "pen" || tool === "eraser" ? Math.max(4, Number(size.value) * scale) : 16;
  Object.assign(cursor.style, { width: d + "px", height: d + "px", display: "block", borderColor: tool === "eraser" || tool === "not" ? "#fff" : root.dataset.colours.split(",")[object - 1],
    left: box.left - outer.left + x * scale - d / 2 + "px", top: box.top - outer.top + y * scale - d / 2 + "px" });
};
stage.addEventListener("pointerdown", (event) => {
  if (event.target.closest(".vp-zoom") || held(event) || event.button) return;
  stage.setPointerCapture(event.pointerId);
  if (event.pointerType === "touch" && (tool === "point" || tool === "not")) tapped = place(event); // a second finger may follow
  else begin(...place(event), event.shiftKey);
});
stage.addEventListener("pointermove", (event) => {
  if (moved(event)) return;
  const [x, y] = place(event);
  if (at && at.mode === "draw") showCursor(x, y);
  for (const each of event.getCoalescedEvents?.() ?? []) go(...place(each));
  go(x, y);
});
for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => {
  const tap = tapped;
  tapped = null;
  if (released(event) || name === "pointercancel" && tap) return;
  if (tap) begin(...tap); else end();
});
stage.addEventListener("pointerleave", () => (cursor.style.display = "none"));

const strike = () => { // the keyboard's click, or its brush down and up
  spot = spot ?? [width / 2, height / 2];
  if (tool === "point" || tool === "not") begin(...spot);
  else { penDown = !penDown; if (penDown) begin(...spot); else end(); }
  showCursor(...spot);
};
painted.addEventListener("keydown", (event) => {
  if (!at || event.ctrlKey || event.metaKey || event.altKey) return;
  spot = spot ?? [width / 2, height / 2];
  const far = event.shiftKey ? 16 : 4;
  const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  if (moves[event.key]) {
    spot = [Math.min(width, Math.max(0, spot[0] + moves[event.key][0])), Math.min(height, Math.max(0, spot[1] + moves[event.key][1]))];
    if (penDown) go(...spot);
  } else if (event.key === " ") strike();
  else if (/^[1-6]$/.test(event.key)) choose(Number(event.key));
  else if (KEYS[event.key] && (at.points || "be".includes(event.key))) hold(KEYS[event.key]);
  else if (event.key === "z") undo();
  else if (event.key === "y") redo();
  else if (event.key === ",") visit(at.frame - 1);
  else if (event.key === ".") visit(at.frame + 1);
  else if (event.key === "?") find(".vp-sheet").showModal();
  else return;
  event.preventDefault();
  showCursor(...spot);
});
root.addEventListener("keydown", (event) => { // Ctrl+Z anywhere in the painter
  if (!at || !(event.ctrlKey || event.metaKey)) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) undo();
  else if (key === "y" || key === "z") redo();
  else return;
  event.preventDefault();
});
painted.addEventListener("blur", () => { if (penDown) { penDown = false; end(); } cursor.style.display = "none"; });

const choose = (k) => { object = k; find(`.vp-object input[value="${k}"]`).checked = true; };
let waiting = false; // the button was pressed before the answer to a click came
const follow = () => { waiting = asking; if (at && !waiting) trigger("follow"); };
find(".vp-go").addEventListener("click", follow);
const KEYS = { c: "point", n: "not", x: "box", b: "pen", e: "eraser" };
const hold = (chosen) => {
  tool = chosen;
  for (const button of root.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  root.dataset.tool = tool;
  find(".vp-hint").textContent = HINTS[tool];
};
const undo = () => {
  if (!past.length) return;
  future.push(snapshot());
  [labels, touched, loaded, said] = past.pop();
  repaint();
  send();
};
const redo = () => {
  if (!future.length) return;
  past.push(snapshot());
  [labels, touched, loaded, said] = future.pop();
  repaint();
  send();
};
find(".vp-objects").addEventListener("change", (event) => { choose(Number(event.target.value)); hold({ not: "point", eraser: "pen" }[tool] ?? tool); });
for (const button of root.querySelectorAll("[data-tool]")) button.addEventListener("click", () => hold(button.dataset.tool));
find(".vp-redo").addEventListener("click", redo);
find(".vp-undo").addEventListener("click", undo);
const idsOf = (ids) => new Set([...new Set(ids)].filter(Boolean));
find(".vp-clear").addEventListener("click", () => {
  if (!at) return;
  touched = idsOf(labels); // so that undo brings back what came from a file too
  remember();
  busy();
  trigger("forget", { frame: at.frame });
});
let started = false; // from the result
const startFrom = (ids) => {
  remember();
  labels = ids ? ids.slice() : new Uint8Array(width * height);
  loaded = ids ? idsOf(ids) : new Set();
  touched = new Set();
  said = {};
  started = Boolean(ids);
  find(".vp-use").textContent = started ? "Start empty" : "Start from the result";
  repaint();
  send();
  tell(started ? "This is the result. Click, draw or erase what is wrong: only the objects you touch are corrected." : "");
};
find(".vp-use").addEventListener("click", () => { if (result) startFrom(started ? null : result); });

const busy = () => { stage.dataset.busy = "yes"; };
const visit = (frame) => {
  frame = Math.min(at.frames - 1, Math.max(0, frame));
  range.value = frame;
  showNow(frame);
  if (frame === at.frame || stage.dataset.busy) return;
  busy();
  trigger("visit", { frame });
};
const showNow = (frame) => { now.textContent = `${seconds(frame)} · frame ${frame}`; };
range.addEventListener("input", () => at && showNow(Number(range.value)));
range.addEventListener("change", () => at && visit(Number(range.value)));
find(".vp-prev").addEventListener("click", () => at && visit(Number(range.value) - 1));
find(".vp-next").addEventListener("click", () => at && visit(Number(range.value) + 1));

const showMarks = () => {
  const marks = new Map((at.marks || []).map((mark) => [mark.frame, mark]));
  if (touched.size) {
    const { objects = [], gone = [] } = marks.get(at.frame) || {}, drawn = [...touched].filter((k) => labels.includes(k));
    const wiped = [...touched].filter((k) => loaded.has(k) && !drawn.includes(k)), untouched = (k) => !touched.has(k);
    const here = { objects: [...objects.filter(untouched), ...drawn].sort(), gone: [...gone.filter(untouched), ...wiped].sort() };
    if (here.objects.length + here.gone.length) marks.set(at.frame, here); else marks.delete(at.frame);
  }
  const list = find(".vp-marks");
  list.replaceChildren();
  for (const [frame, { objects, gone }] of [...marks].sort((a, b) => a[0] - b[0])) {
    const row = document.createElement("li"), to = document.createElement("button"), drop = document.createElement("button");
    to.type = drop.type = "button";
    to.className = "vp-to";
    const told = [objects.length && `objects ${objects.join(", ")}`, gone.length && `gone ${gone.join(", ")}`].filter(Boolean);
    to.setAttribute("aria-label", `Frame ${frame}, ${told.join(", ")}: show`);
    if (frame === at.frame) to.setAttribute("aria-current", "true");
    for (const k of [...objects, ...gone]) {
      const dot = document.createElement("i");
      dot.className = gone.includes(k) ? "vp-gone" : "";
      dot.style.background = root.dataset.colours.split(",")[(k - 1) % colours.length];
      dot.textContent = k;
      to.append(dot);
    }
    to.append(seconds(frame));
    to.addEventListener("click", () => visit(frame));
    drop.className = "vp-drop";
    drop.textContent = "×";
    drop.setAttribute("aria-label", `Remove the marks of frame ${frame}`);
    drop.addEventListener("click", () => { busy(); trigger("forget", { frame }); });
    row.append(to, drop);
    list.append(row);
  }
  find(".vp-unmarked").hidden = marks.size > 0;
  find(".vp-dots").replaceChildren(...[...marks.keys()].map((frame) => {
    const dot = document.createElement("i");
    dot.style.left = (100 * frame) / Math.max(1, at.frames - 1) + "%";
    return dot;
  }));
  const ready = at.mode === "none" || [...marks.values()].some(({ objects }) => objects.length);
  find(".vp-go").disabled = !ready;
  find(".vp-why").textContent = ready ? "" : `First ${at.points ? "click on" : "paint"} an object in the picture.`;
};

const show = () => {
  const value = props.value;
  if (!value || !value.mode) return;
  if (value.mode === "mask") { answered(value); return; }
  if (value.mode === "note") {
    tell(value.note);
    find(".vp-note").scrollIntoView({ block: "nearest" });
    if (at) send();
    return;
  }
  root.dataset.mode = value.mode;
  delete stage.dataset.busy;
  if (value.mode === "empty") { at = null; keep(null); return; }
  ({ width, height } = value);
  for (const canvas of [framed, painted]) { canvas.width = width; canvas.height = height; }
  stage.style.setProperty("--ratio", `${width} / ${height}`);
  const { picture, ...rest } = value;
  at = rest;
  keep(null);
  call(value.objects);
  labels = decode(value.runs);
  result = value.result ? decode(value.result) : null;
  touched = new Set(value.touched);
  loaded = new Set(value.loaded);
  if (value.fresh) { kept.clear(); whole(); }
  ({ past, future } = kept.get(value.frame) ?? { past: [], future: [] });
  said = {};
  later = corner = null;
  asking = fitting = false;
  delete stage.dataset.asking;
  spot = null;
  root.dataset.points = value.points ? "yes" : "no";
  if (!value.points) find(".vp-unmarked").textContent = "None yet. Paint something in the picture, or circle it.";
  if (!value.points && ["point", "not", "box"].includes(tool)) hold("pen");
  const image = new Image();
  image.onload = () => framed.getContext("2d").drawImage(image, 0, 0, width, height);
  image.src = picture;
  range.max = value.frames - 1;
  range.value = value.frame;
  showNow(value.frame);
  find(".vp-note").textContent = value.note || "";
  find(".vp-use").hidden = !result;
  started = false;
  find(".vp-use").textContent = "Start from the result";
  paint();
  showMarks();
  if (value.correct && result && !touched.size && !labels.some(Boolean)) startFrom(result);
};
watch("value", show);
hold(tool);
show();
