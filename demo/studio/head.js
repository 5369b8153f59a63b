// Light or dark, remembered; the models as one tab stop; how many runs are in the queue, asked every few seconds while the page is seen.
const load = element.querySelector(".vz-load"), look = element.querySelector(".vz-look");
const dark = (on) => document.body.classList.toggle("dark", on);
const kept = (() => { try { return localStorage.getItem("vos-zoo-look"); } catch { return null; } })();
if (kept && !new URLSearchParams(location.search).has("__theme")) dark(kept === "dark");
look.addEventListener("click", () => {
  const on = dark();
  try { localStorage.setItem("vos-zoo-look", on ? "dark" : "light"); } catch { /* private window: it holds for this visit */ }
});
// Gradio names each choice of a model apart; with one name they are one stop of Tab, and arrows go from one to the next.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Tab" && !event.key.startsWith("Arrow")) return;
  for (const choice of document.querySelectorAll(".vz-models input[type=radio]")) choice.name = "vz-model";
}, true);
const ask = async () => {
  if (document.hidden) return;
  try {
    const { queue_size: waiting } = await (await fetch(new URL("gradio_api/queue/status", document.baseURI))).json();
    load.textContent = waiting ? `${waiting} waiting` : "";
  } catch { load.textContent = "The server does not answer"; }
};
setInterval(ask, 5000);
ask();
