// The player's behaviour. One video holds all panels beside each other, so that they can't drift apart; the canvas shows two of them.
const root = element.querySelector(".vl");
const find = (selector) => root.querySelector(selector);
const stage = find(".vl-stage"), canvas = find(".vl-canvas"), video = find(".vl-video"), divider = find(".vl-divider"), line = find(".vl-line");
const time = find(".vl-time"), now = find(".vl-now"), play = find(".vl-play"), left = find(".vl-left"), right = find(".vl-right");
let value = null, url = "", pending = 0, beside = false; // both panels whole, beside each other, or one wiped over the other

const draw = () => {
  if (!value || video.readyState < 2) return;
  const { width, height } = value, context = canvas.getContext("2d"), cut = Math.round((width * divider.value) / 100);
  const panel = (k) => Number(k) * width;
  if (beside) {
    for (const [k, side] of [left, right].entries()) context.drawImage(video, panel(side.value), 0, width, height, k * width, 0, width, height);
    return;
  }
  if (cut > 0) context.drawImage(video, panel(left.value), 0, cut, height, 0, 0, cut, height);
  if (cut < width) context.drawImage(video, panel(right.value) + cut, 0, width - cut, height, cut, 0, width - cut, height);
};
const frameShown = () => Math.min(value.frames - 1, Math.floor(video.currentTime * value.fps + 0.01));
const tell = () => {
  if (!value) return;
  const frame = frameShown();
  time.value = frame;
  now.textContent = `${((value.begin + frame) / value.fps).toFixed(2)} s · frame ${value.begin + frame}`;
};
const refresh = () => { draw(); tell(); };
const onFrame = () => {
  refresh();
  if (video.requestVideoFrameCallback) {
    video.cancelVideoFrameCallback(pending);
    pending = video.requestVideoFrameCallback(onFrame);
  } else if (!video.paused) requestAnimationFrame(onFrame);
};
const moveLine = () => {
  line.style.left = divider.value + "%";
  line.hidden = divider.hidden = beside;
  find(".vl-name-left").textContent = beside || divider.value > 12 ? value?.panels[left.value] ?? "" : "";
  find(".vl-name-right").textContent = beside || divider.value < 88 ? value?.panels[right.value] ?? "" : "";
  draw();
};
const arrange = () => {
  if (!value) return;
  canvas.width = value.width * (beside ? 2 : 1);
  canvas.height = value.height;
  stage.style.setProperty("--ratio", `${canvas.width} / ${canvas.height}`);
  find(".vl-beside").setAttribute("aria-pressed", String(beside));
  moveLine();
};
find(".vl-beside").addEventListener("click", () => { beside = !beside; arrange(); });
// Whatever on the page names a frame, such as a stretch where an object was lost, shows it here.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-frame-shown]");
  if (!link || !value || !root.isConnected) return;
  seek(Math.min(value.frames - 1, Math.max(0, Number(link.dataset.frameShown) - value.begin)));
  stage.scrollIntoView({ block: "center" });
});
const seek = (frame) => { video.pause(); video.currentTime = (frame + 0.5) / value.fps; };

divider.addEventListener("input", moveLine);
for (const side of [left, right]) side.addEventListener("change", moveLine);
play.addEventListener("click", () => (video.paused ? video.play() : video.pause()));
time.addEventListener("input", () => value && seek(Number(time.value)));
video.addEventListener("seeked", refresh);
video.addEventListener("loadeddata", () => { refresh(); stage.dataset.ready = "yes"; });
video.addEventListener("play", () => { play.innerHTML = "&#10074;&#10074;"; play.setAttribute("aria-label", "Pause"); onFrame(); });
video.addEventListener("pause", () => { play.innerHTML = "&#9654;"; play.setAttribute("aria-label", "Play"); refresh(); });
video.addEventListener("error", () => { if (video.getAttribute("src")) find(".vl-failed").hidden = false; });
find(".vl-correct").addEventListener("click", () => { if (value) { video.pause(); trigger("correct", { frame: value.begin + frameShown() }); } });

const option = (name, k) => Object.assign(document.createElement("option"), { value: k, textContent: name });
const show = () => {
  const shown = props.value;
  root.dataset.mode = shown?.mode ?? "empty";
  if (!shown || shown.mode !== "ready") { value = null; url = ""; video.pause(); video.removeAttribute("src"); return; }
  value = shown;
  time.max = shown.frames - 1;
  const compared = shown.panels.length > 2;
  left.replaceChildren(...shown.panels.map(option));
  right.replaceChildren(...shown.panels.map(option));
  left.value = compared ? 1 : 0;
  right.value = compared ? 2 : 1;
  divider.value = compared ? 50 : 0; // the overlay is seen whole
  find(".vl-sides").hidden = !compared;
  find(".vl-failed").hidden = true;
  find(".vl-strip").replaceChildren(...shown.strip.map(({ frame, picture }) => {
    const button = document.createElement("button"), image = document.createElement("img"), caption = document.createElement("span");
    button.type = "button";
    button.setAttribute("aria-label", `Show frame ${frame}`);
    image.src = picture;
    image.alt = "";
    caption.textContent = (frame / shown.fps).toFixed(1) + " s";
    button.append(image, caption);
    button.addEventListener("click", () => seek(frame - shown.begin));
    return button;
  }));
  if (shown.video.url !== url) {
    url = shown.video.url;
    delete stage.dataset.ready;
    video.src = url;
    video.load();
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => {});
  }
  arrange();
};
watch("value", show);
show();
