// The state at a position, rebuilt from the nearest whole state before it, and how it is drawn.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);

/** The text of a key with its places filled; a text with | has a form for one and for many. */
function say(key, values = {}) {
  let text = DATA.words[key] ?? key;
  if (text.includes("|")) text = text.split("|")[values.n === 1 ? 0 : 1];
  return text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

/** An element. Texts become text nodes, never markup. */
function el(tag, facts = {}, ...parts) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...parts.filter((part) => part !== null && part !== undefined && part !== ""));
  return node;
}

/** Fill an element anew. */
function fill(node, ...parts) {
  node.replaceChildren(...parts.filter((part) => part !== null && part !== undefined && part !== ""));
  return node;
}

const State = (() => {
  const place = new Map(DATA.cells.map((name, number) => [name, number]));
  let kept = { stop: -1, state: null };

  function apply(state, cells, holds) {
    for (let i = 0; i < cells.length; i += 2) state.cells[cells[i]] = cells[i + 1];
    for (const [set, holding] of holds) {
      for (const tensor of DATA.sets[set]) {
        if (holding < 0) state.holds.delete(tensor);
        else state.holds.set(tensor, holding);
      }
    }
  }

  /** The state after a stop, from the nearest whole state or from the stop last asked for. */
  function at(stop) {
    if (stop < 0) return { cells: [], holds: new Map() };
    if (kept.stop === stop) return kept.state;
    const key = Math.floor(stop / DATA.every);
    let state = { cells: [], holds: new Map() };
    let from = key * DATA.every;
    if (kept.stop >= from && kept.stop < stop) {
      state = { cells: kept.state.cells.slice(), holds: new Map(kept.state.holds) };
      from = kept.stop;
    } else {
      apply(state, ...DATA.keys[key]);
    }
    for (let each = from + 1; each <= stop; each += 1) apply(state, ...DATA.deltas[each]);
    kept = { stop, state };
    return state;
  }

  /** The content of a cell by its name; undefined where it is not known. */
  const read = (state, name) => state?.cells[place.get(name)];
  return { at, read };
})();

const Tensors = (() => {
  const VALUES = 0, SHAPE = 1, NORM = 2, ZEROS = 3, BAD = 4, NOTE = 5, LOW = 6, HIGH = 7, BARS = 8;

  /** A histogram as an image with words. */
  function histogram(record) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const bars = record[BARS];
    svg.setAttribute("viewBox", `0 0 ${bars.length * 4} 9`);
    svg.setAttribute("class", "bars");
    svg.setAttribute("role", "img");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-label", say("histogram", { low: record[LOW], high: record[HIGH] }));
    const title = document.createElementNS(svg.namespaceURI, "title");
    title.textContent = say("histogram", { low: record[LOW], high: record[HIGH] });
    svg.append(title);
    [...bars].forEach((height, number) => {
      const bar = document.createElementNS(svg.namespaceURI, "rect");
      bar.setAttribute("x", number * 4);
      bar.setAttribute("y", 9 - Number(height));
      bar.setAttribute("width", 3);
      bar.setAttribute("height", height);
      svg.append(bar);
    });
    return svg;
  }

  /** What a record holds: values where there are few, else norm and histogram. */
  function content(record) {
    if (record[VALUES] !== null) return [el("code", { class: "values", title: record[VALUES] }, record[VALUES])];
    const parts = [];
    if (record[BARS]?.length === 1) return [el("span", { class: "range" }, say("all-equal", { value: record[LOW] }))];
    if (record[BARS]) parts.push(histogram(record));
    if (record[BARS]) parts.push(el("span", { class: "range" }, `${record[LOW]} … ${record[HIGH]}`));
    return parts;
  }

  function norm(record) {
    if (record[NORM] === null) return record[NOTE] || say("not-read");
    return say("norm", { norm: record[NORM] });
  }

  /** Loud about what is wrong, silent about what is usual. */
  function warnings(record) {
    const found = [];
    if (record[BAD]) found.push(el("strong", { class: "bad" }, say("not-finite", { n: record[BAD] })));
    else if (record[NOTE] && record[NORM] !== null) found.push(el("span", { class: "faint" }, record[NOTE]));
    if (record[VALUES] === null && record[NORM] === "0" && !record[BARS]) found.push(el("span", { class: "faint" }, say("all-zero")));
    return found;
  }

  /** A short form for `was ...`. */
  const short = (record) => record[VALUES] ?? norm(record);

  /** What happened to a tensor since the stop before, in words; "" for nothing. */
  function words(was, now, part) {
    if (was === now) return "";
    const before = was === null || was === undefined ? null : DATA.records[was];
    const after = now === null || now === undefined ? null : DATA.records[now];
    if (before === null) return after === null ? "" : say(part === "gradient" ? "was-none" : "new");
    if (after === null) return say(part === "gradient" ? "cleared" : "gone", { was: short(before) });
    if (short(before) === short(after)) return say("other-values");
    return say("was", { was: short(before) });
  }

  return { content, norm, warnings, words, shape: (record) => record[SHAPE] };
})();
