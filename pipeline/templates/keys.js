// Keys work wherever the reader is on the page, but for where they have a meaning already.

class Keys {
  constructor(view, list) {
    const part = (id) => document.getElementById(id);
    const press = (id) => () => part(id).offsetParent && part(id).click();
    this.help = part("help");
    this.actions = {
      " ": () => view.player.toggle(),
      ArrowLeft: (event) => view.seek(view.player.time - (event.shiftKey ? 5 : 1)),
      ArrowRight: (event) => view.seek(view.player.time + (event.shiftKey ? 5 : 1)),
      ",": () => view.player.frame(-1),
      ".": () => view.player.frame(1),
      n: () => view.jump(1),
      p: () => view.jump(-1),
      "[": () => view.cut(-1),
      "]": () => view.cut(1),
      "+": () => view.zoom(0.5),
      "=": () => view.zoom(0.5),
      "-": () => view.zoom(2),
      0: () => view.whole(),
      s: press("show-joints"),
      f: press("show-flow"),
      j: () => list.step(1),
      k: () => list.step(-1),
      "/": () => list.search.focus(),
      "?": () => (this.help.open ? this.help.close() : this.help.showModal()),
    };
    part("keys").addEventListener("click", () => this.help.showModal());
    part("help-close").addEventListener("click", () => this.help.close());
    document.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const { target } = event;
    if (event.key === "Escape" && target.matches?.("input")) target.blur();
    const action = this.actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || meansSomething(target, event.key) || (this.help.open && event.key !== "?")) return;
    event.preventDefault();
    action(event);
  }
}

/** Whether a key is the element's own where the reader is. */
function meansSomething(target, key) {
  if (!(target instanceof Element)) return false;
  if (target.matches("input[type=search], select, textarea")) return true;
  if (key === " ") return target.matches("button, summary, a, input");
  if (key.startsWith("Arrow")) return target.matches("input[type=range]") || (target.closest(".scroll, .rows") !== null && key.match(/Left|Right/) !== null);
  return false;
}
