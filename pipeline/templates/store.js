// Files beside the page. A page from disk may not fetch, but it may load scripts: each hands over its data.

const FILES_KEPT = 16;
const takers = new Map(); // what waits for a name
const files = new Map(); // file -> promise of its data, the latest last

globalThis.augrgb = Object.freeze({
  put(name, value) {
    takers.get(name)?.(value);
    takers.delete(name);
  },
});

/** What a script puts under `name`; rejected where there is no such file. */
function load(file, name) {
  const found = files.get(file) ?? request(file, name);
  files.delete(file);
  files.set(file, found);
  if (files.size > FILES_KEPT) files.delete(files.keys().next().value);
  return found;
}

function request(file, name) {
  return new Promise((resolve, reject) => {
    takers.set(name, resolve);
    const script = element("script", { src: file });
    script.addEventListener("load", () => script.remove());
    script.addEventListener("error", () => {
      files.delete(file);
      script.remove();
      reject(new Error(`${file} is not beside the page: copy the whole folder, not index.html alone.`));
    });
    document.head.append(script);
  });
}

/** base64 of deflated little-endian numbers -> typed array */
async function unpack(text, Numbers) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Numbers(await new Response(stream).arrayBuffer());
}

/** Index of the last of increasing `values` that is <= x; -1 where there is none. */
function lastAtMost(values, x) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
