// A row a file: its name, what it is, its size.
const list = element.querySelector("ul");
const sized = (bytes) => (bytes < 1e5 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const show = () => list.replaceChildren(...(props.value || []).map(({ title, words, bytes, file }) => {
  const row = document.createElement("li"), link = document.createElement("a"), about = document.createElement("span");
  link.href = file.url;
  link.download = file.orig_name || file.path.split("/").pop();
  link.textContent = title;
  about.textContent = `${words} · ${sized(bytes)}`;
  link.append(about);
  row.append(link);
  return row;
}));
watch("value", show);
show();
