// The player's parts; and the objects of a result: their names and colours, which are shown, and pictures drawn with that.
const root = element.querySelector(".vl");
const find = (selector) => root.querySelector(selector);
let value = null; // what the server showed last
let objects = []; // {id, name, colour, drawn: in the video, shown}
let found = null; // where they are, one a model, once it was fetched: {ids, words, begins}

// The video has them in the colours of its run. Where that does not do they are drawn here, over the original.
const differ = () => objects.some(({ colour, drawn, shown }) => colour !== drawn || !shown);
const fetchObjects = async () => {
  const wanted = value;
  const all = await Promise.all(wanted.masks.map(async ({ ids, file }) => {
    const packed = (await fetch(file.url)).body.pipeThrough(new DecompressionStream("gzip"));
    const words = new Uint32Array(await new Response(packed).arrayBuffer()), begins = [];
    for (let i = 0; i < words.length; i += 1 + words[i]) begins.push(i);
    return { ids, words, begins };
  }));
  if (wanted === value) found = all;
};
// A frame's places of objects, one a pixel: the place in `ids` counted from 1, and 1024 more where the object is lost.
const placesAt = ({ words, begins }, frame, size) => {
  const places = new Uint16Array(size), begin = begins[frame];
  for (let k = 1, i = 0; k <= words[begin]; k++) {
    const run = words[begin + k], end = i + (run & 0xfffff);
    places.fill(run >>> 20, i, end);
    i = end;
  }
  return places;
};
const rgb = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
// Tints a picture in place as the server does: half and half, a full rim inside and outside the edge; what is lost has only its rim.
const tint = (image, model, frame) => {
  const { width, height, data } = image, places = placesAt(model, frame, width * height);
  const looks = [null, ...model.ids.map((id) => { const each = objects.find((o) => o.id === id); return each.shown ? rgb(each.colour) : null; })];
  const rim = Math.max(1, Math.round(Math.min(width, height) / 240));
  for (let i = 0; i < places.length; i++) {
    const place = places[i], colour = looks[place % 1024];
    if (!colour) continue;
    const x = i % width;
    let edge = false;
    for (let step = 1; step <= rim && !edge; step++)
      edge = (x >= step && places[i - step] !== place) || (x + step < width && places[i + step] !== place) ||
        (i >= step * width && places[i - step * width] !== place) || (i + step * width < places.length && places[i + step * width] !== place);
    if (!edge && place >= 1024) continue;
    for (let c = 0; c < 3; c++) data[4 * i + c] = edge ? colour[c] : (data[4 * i + c] + colour[c]) >> 1;
  }
};
const scratch = document.createElement("canvas");
// The original at a frame with the objects of a model as they are wanted now: a canvas.
const drawnAnew = (video, model, frame) => {
  const { width, height } = value;
  Object.assign(scratch, { width, height });
  const context = scratch.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, width, height, 0, 0, width, height);
  const image = context.getImageData(0, 0, width, height);
  tint(image, found[model], Math.min(frame, found[model].begins.length - 1));
  context.putImageData(image, 0, 0);
  return scratch;
};

// The list of them. `redraw` is called when it was changed; the server is told once a change is complete.
const listObjects = (redraw) => {
  const changed = async (complete) => {
    if (differ() && !found) await fetchObjects();
    redraw();
    if (complete) trigger("look", { objects: objects.map(({ id, name, colour, shown }) => ({ id, name, colour, shown })) });
  };
  find(".vl-objects").replaceChildren(...objects.map((each) => {
    const row = document.createElement("li");
    const part = (type, label, more) => {
      const input = Object.assign(document.createElement("input"), { type, ...more });
      const called = () => input.setAttribute("aria-label", label.replace("%", each.name));
      called();
      row.append(input);
      return [input, called];
    };
    const [shown, callShown] = part("checkbox", "Show %", { checked: each.shown });
    const [colour, callColour] = part("color", "Colour of %", { value: each.colour });
    const [name] = part("text", `Name of object ${each.id}`, { value: each.name, maxLength: 40, autocomplete: "off", spellcheck: false });
    const grey = () => row.classList.toggle("vl-hidden", !each.shown);
    grey();
    shown.addEventListener("change", () => { each.shown = shown.checked; grey(); changed(true); });
    colour.addEventListener("input", () => { each.colour = colour.value; changed(false); });
    colour.addEventListener("change", () => { each.colour = colour.value; changed(true); });
    name.addEventListener("change", () => {
      each.name = name.value.trim() || `Object ${each.id}`;
      name.value = each.name;
      callShown();
      callColour();
      changed(true);
    });
    return row;
  }));
};
