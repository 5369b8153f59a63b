// The painter and the player of the page with a server, put to use here. Their scripts are functions of what Gradio would hand them.

import painterScript from "./painter.js";
import playerScript from "./player.js";

/** element: holds the template; events: what is called by name with an object. */
function part(script, element, events) {
  const watchers = [], props = { value: { mode: "empty" } };
  script(element, props, (name, data) => events[name]?.(data), (_, call) => watchers.push(call));
  return {
    get value() { return props.value; },
    show(value) {
      props.value = value;
      for (const call of watchers) call();
    },
  };
}

export function makePainter(element, events) {
  let frame = 0;
  const made = part(painterScript, element, events);
  return {
    get value() { return made.value; },
    get frame() { return frame; },
    show(value) {
      frame = value.frame ?? 0;
      made.show(value);
    },
    /** The mask of what was pointed at. */
    answer(value) {
      made.show(value);
    },
  };
}

export function makePlayer(element, events) {
  return part(playerScript, element, events);
}
