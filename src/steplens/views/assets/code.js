// The user's code: which line ran, which comes next, how often each ran and what its calls did.
"use strict";

const LETTERS = {
  forward: "F", backward: "B", step: "S", clear: "C", mode: "M", "grad-mode": "G", write: "W",
  load: "L", clip: "X", schedule: "R", failure: "!",
};

const Code = (() => {
  const pane = document.getElementById("code");
  const rows = new Map(); // "file:line" -> its elements
  const visits = new Map(); // "file:line" -> positions
  let marked = [];
  const key = (spot) => `${spot[0]}:${spot[1]}`;

  function chips(calls) {
    const found = [];
    for (const [kind, count] of Object.entries(calls ?? {})) {
      if (!(kind in LETTERS)) continue;
      const words = `${say(`kind.${kind}`)} × ${count.toLocaleString("en")}`;
      found.push(el("span", { class: `chip k-${kind}`, title: words, role: "img", "aria-label": words }, LETTERS[kind]));
    }
    return found;
  }

  function line(file, number, spans, facts) {
    const here = `${file}:${number}`;
    const ran = facts.runs[number];
    const text = el("code", { class: "text" });
    const margin = /^\s*/.exec(spans[0] === "" ? spans[1] : "")[0]; // as padding: what wraps stays indented
    text.style.paddingLeft = `${margin.replaceAll("\t", "    ").length + 0.5}ch`;
    for (let i = 0; i < spans.length; i += 2) {
      const part = i ? spans[i + 1] : spans[1].slice(margin.length);
      if (part) text.append(spans[i] ? el("span", { class: `h-${spans[i]}` }, part) : part);
    }
    const where = visits.get(here);
    const label = ran ? say("ran", { n: ran, times: ran.toLocaleString("en") }) : "";
    const lineno = where
      ? el("button", { class: "lineno", type: "button", tabindex: "-1", "aria-label": say("visit", { line: number }), onclick: () => walk(here) }, String(number))
      : el("span", { class: "lineno" }, String(number));
    const row = el("div", { class: where ? "row visited" : "row", id: `line-${file}-${number}` },
      el("span", { class: "arrow", "aria-hidden": "true" }),
      lineno,
      el("span", { class: "runs", title: label }, ran ? `${ran.toLocaleString("en")}×` : ""),
      el("span", { class: "chips" }, ...chips(facts.calls[number])),
      text);
    if (where) row.addEventListener("click", (event) => { if (event.target.tagName !== "BUTTON" && getSelection().isCollapsed) walk(here); });
    const unit = el("div", { class: "unit" }, row);
    rows.set(here, { row, unit, arrow: row.firstChild });
    return unit;
  }

  function build(positions, go) {
    Code.go = go;
    positions.forEach((position, number) => {
      if (!position.at) return;
      const here = key(position.at);
      if (!visits.has(here)) visits.set(here, []);
      visits.get(here).push(number);
    });
    DATA.files.forEach((facts, file) => {
      const used = new Set([...Object.keys(facts.runs), ...Object.keys(facts.calls)].map(Number));
      for (const here of visits.keys()) {
        const [which, number] = here.split(":").map(Number);
        if (which === file) used.add(number);
      }
      const section = el("div", { class: "file" }, el("h2", {}, facts.title));
      if (facts.text) {
        facts.lines.forEach((spans, index) => section.append(line(file, index + 1, spans, facts)));
        if (facts.more) section.append(el("p", { class: "faint" }, say("more-lines", { n: facts.more })));
      } else {
        section.append(el("p", { class: "faint" }, say("no-source")));
        for (const number of [...used].sort((a, b) => a - b)) section.append(line(file, number, [], facts));
      }
      pane.append(section);
    });
    if (!DATA.files.length) pane.append(el("p", { class: "faint" }, say("no-code")));
    pins();
  }

  /** Findings stand under their lines, with the label that points there. */
  function pins() {
    DATA.findings.forEach((finding, number) => {
      const marks = [[finding.at, true], ...finding.because.map((cause) => [cause, false])];
      for (const [mark, main] of marks) {
        const found = mark.spot && rows.get(key(mark.spot));
        if (!found) continue;
        const button = el("button", {
          class: `pin ${main ? finding.severity : "cause"}`, type: "button", "data-finding": number,
          onclick: () => Findings.choose(number, mark.stop),
        }, el("span", { class: "sign", "aria-hidden": "true" }, main ? Findings.sign(finding.severity) : "↳"),
        " ", el("b", {}, finding.code), " ", ...Findings.inline(mark.label || finding.message));
        found.unit.append(button);
        if (main) found.row.classList.add("pinned");
      }
    });
  }

  /** The next visit of a line after the present one, then its first. */
  function walk(here, way = 1) {
    const all = visits.get(here);
    if (!all) return;
    const now = Code.position;
    const on = way > 0 ? all.find((each) => each > now) : all.findLast((each) => each < now);
    Code.go(on ?? (way > 0 ? all[0] : all[all.length - 1]), { scroll: true });
  }

  function mark(spot, name, sign, words) {
    const found = spot && rows.get(key(spot));
    if (!found) return null;
    found.row.classList.add(name);
    if (name !== "quiet") {
      fill(found.arrow, sign);
      found.arrow.setAttribute("title", words);
    }
    marked.push([found, name]);
    return found;
  }

  /** Show a position: the line that has run, the next one, and the lines that ran before it. */
  function show(position, number) {
    Code.position = number;
    for (const [found, name] of marked) {
      found.row.classList.remove(name);
      found.row.removeAttribute("aria-current");
      fill(found.arrow);
    }
    marked = [];
    for (const spot of position.quiet ?? []) mark(spot, "quiet", "", "");
    if (position.next && !(position.at && key(position.next) === key(position.at))) {
      mark(position.next, "next", "▷", say("next-line"));
    }
    const now = mark(position.at, "ran", "▶", say("ran-line"));
    if (!now) return;
    now.row.setAttribute("aria-current", "step");
    reveal(now.row);
  }

  /** Bring a line into view at a position that has none of its own. */
  function point(spot, number) {
    const found = spot && rows.get(key(spot));
    if (found && !DATA.positions[number]?.at) reveal(found.row);
  }

  function reveal(row) {
    const box = pane.getBoundingClientRect(), it = row.getBoundingClientRect();
    if (it.top < box.top + 48 || it.bottom > box.bottom - 64) {
      pane.scrollTop += it.top - box.top - box.height / 3;
    }
  }

  return { build, show, point, walk, rows, key, visits, go: null, position: 0 };
})();
