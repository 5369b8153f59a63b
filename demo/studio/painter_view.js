// The view of the picture: how much it is enlarged, and which part of it is seen.
let zoom = 1, pan = [0, 0], fingers = new Map(), dragged = null, pinched = null;

const look = () => {
  const box = stage.getBoundingClientRect(), most = [((zoom - 1) * box.width) / 2, ((zoom - 1) * box.height) / 2];
  pan = pan.map((far, k) => Math.min(most[k], Math.max(-most[k], far)));
  for (const canvas of [framed, painted]) canvas.style.transform = zoom === 1 ? "" : `translate(${pan[0]}px, ${pan[1]}px) scale(${zoom})`;
  find(".vp-whole").hidden = zoom === 1;
  cursor.style.display = "none";
};
const whole = () => { zoom = 1; pan = [0, 0]; look(); };
// Enlarge, and keep what lies at this place of the window where it is.
const enlarge = (factor, x, y) => {
  const box = stage.getBoundingClientRect(), before = zoom, from = [x - box.left - box.width / 2, y - box.top - box.height / 2];
  zoom = Math.min(12, Math.max(1, zoom * factor));
  pan = pan.map((far, k) => from[k] - ((from[k] - far) * zoom) / before);
  look();
};
const shift = (x, y) => { pan = [pan[0] + x, pan[1] + y]; look(); };
const middle = () => { const box = stage.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
const between = () => {
  const [a, b] = [...fingers.values()];
  return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, far: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])) };
};

// Each says whether the event was of the view, and not of the drawing.
const held = (event) => {
  if (event.button === 1 || space) { dragged = [event.clientX, event.clientY]; stage.setPointerCapture(event.pointerId); event.preventDefault(); return true; }
  if (event.pointerType !== "touch") return false;
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (fingers.size !== 2) return fingers.size > 2;
  tapped = null;
  if (corner) corner = last = null; // the first finger meant no box, and no stroke
  else if (last) { last = null; undo(); future.pop(); }
  pinched = between();
  return true;
};
const moved = (event) => {
  if (dragged && space) space = "moved";
  if (dragged) { shift(event.clientX - dragged[0], event.clientY - dragged[1]); dragged = [event.clientX, event.clientY]; return true; }
  if (!fingers.has(event.pointerId)) return false;
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  if (!pinched) return false;
  if (fingers.size === 2) {
    const now = between();
    shift(now.x - pinched.x, now.y - pinched.y);
    enlarge(now.far / pinched.far, now.x, now.y);
    pinched = now;
  }
  return true;
};
const released = (event) => {
  const ours = Boolean(dragged || pinched);
  dragged = null;
  fingers.delete(event.pointerId);
  if (!fingers.size) pinched = null;
  return ours;
};
stage.addEventListener("wheel", (event) => {
  if (event.ctrlKey || event.metaKey) enlarge(Math.exp(-event.deltaY / 200), event.clientX, event.clientY);
  else if (zoom > 1) shift(-event.deltaX, -event.deltaY);
  else return;
  event.preventDefault();
}, { passive: false });
// While Space is down, the enlarged picture is dragged. Space alone is a stroke of the keyboard: `strike`, when it comes up.
let space = "", tabbed = false; // "down", then perhaps "moved"; whether the keyboard chose what has the focus
document.addEventListener("pointerdown", () => (tabbed = false), true);
document.addEventListener("keydown", (event) => {
  if (event.key === "Tab") tabbed = true;
  const ours = event.target === painted || (stage.matches(":hover") && !tabbed);
  if (event.key !== " " || !at || zoom === 1 || !ours || !root.isConnected) return;
  event.preventDefault();
  event.stopPropagation();
  space ||= "down";
  stage.dataset.grab = "yes";
}, true);
const raise = (struck) => {
  const was = space;
  space = "";
  delete stage.dataset.grab;
  if (struck && was === "down") strike();
};
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || !space) return;
  event.preventDefault();
  raise(event.target === painted);
}, true);
window.addEventListener("blur", () => raise(false));
find(".vp-in").addEventListener("click", () => enlarge(1.5, ...middle()));
find(".vp-out").addEventListener("click", () => enlarge(1 / 1.5, ...middle()));
find(".vp-whole").addEventListener("click", whole);
find(".vp-help").addEventListener("click", () => find(".vp-sheet").showModal());
