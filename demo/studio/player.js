// The player's behaviour. One video holds all panels beside each other, so that they can't drift apart; the canvas shows two of them.
const stage = find(".vl-stage"), canvas = find(".vl-canvas"), video = find(".vl-video"), divider = find(".vl-divider"), line = find(".vl-line");
const time = find(".vl-time"), now = find(".vl-now"), play = find(".vl-play"), left = find(".vl-left"), right = find(".vl-right");
let url = "", pending = 0, beside = false; // both panels whole, beside each other, or one wiped over the other
let moment = null; // of the frame that plays, in seconds

const draw = () => {
  if (!value || video.readyState < 2) return;
  const { width, height } = value, context = canvas.getContext("2d"), cut = Math.round((width * divider.value) / 100);
  const put = (side, from, wide, to) => { // a part of a panel: of the video, or drawn anew
    const panel = Number(side.value), anew = panel > 0 && found && differ();
    const picture = anew ? drawnAnew(video, panel - 1, frameShown()) : video;
    if (wide > 0) context.drawImage(picture, (anew ? 0 : panel * width) + from, 0, wide, height, to, 0, wide, height);
  };
  if (beside) { put(left, 0, width, 0); put(right, 0, width, width); return; }
  put(left, 0, cut, 0);
  put(right, cut, width - cut, cut);
};
const frameShown = () => Math.min(value.frames - 1, Math.floor((video.paused ? video.currentTime : moment ?? video.currentTime) * value.fps + 0.01));
const tell = () => {
  if (!value) return;
  const frame = frameShown();
  time.value = frame;
  now.textContent = `${((value.begin + frame) / value.fps).toFixed(2)} s · frame ${value.begin + frame}`;
};
const refresh = () => { draw(); tell(); };
const onFrame = (_, told) => {
  moment = told?.mediaTime ?? null;
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
  objects = shown.objects.map((each) => ({ ...each }));
  found = null;
  listObjects(draw);
  if (differ()) fetchObjects().then(draw);
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
