// Moving through the run: positions, keys, the address, and what is said at each position.
"use strict";

const Page = (() => {
  const $ = (id) => document.getElementById(id);
  const positions = DATA.positions;
  let current = -1, moves = 0, runTouched = false;

  // -- what is said ----------------------------------------------------------------------------

  function code(position) {
    const spans = position.at && DATA.files[position.at[0]]?.lines[position.at[1] - 1];
    return spans ? spans.filter((_, index) => index % 2).join("").trim() : "";
  }

  function now(position, changed) {
    const numbers = position.events[0] === position.events[1] ? `#${position.events[0]}` : `#${position.events[0]}–${position.events[1]}`;
    const text = code(position);
    const chips = position.stretch ? [] : position.kinds.filter((kind) => kind in LETTERS).map((kind) => el("span", { class: `chip k-${kind}`, "aria-hidden": "true" }, LETTERS[kind]));
    const said = position.stretch
      ? [say("stretch", { n: (position.events[1] - position.events[0] + 1).toLocaleString("en") }), counts(position.counts).join(" · ")]
      : position.says;
    fill($("now"),
      el("p", { class: "where" }, el("span", { class: "event" }, numbers), ` ${place(position)} · ${say("after", { n: position.step, steps: position.step.toLocaleString("en") })}`),
      text ? el("p", { class: "line" }, ...chips, el("code", {}, text)) : null,
      ...(said.length ? said.map((words) => el("p", { class: "says" }, ...ticks(words))) : []),
      position.notes ? el("p", { class: "says faint" }, say("noticed"), " ", ...ticks(position.notes.join("; "))) : null,
      position.stretch ? null : el("p", { class: changed ? "sum some" : "sum" }, current === 0 ? say("first-state") : changed ? say("sum", { n: changed }) : say("sum-none")));
    return [numbers, place(position), text, ...said, changed ? say("sum", { n: changed }) : say("sum-none")].filter(Boolean).join(". ");
  }

  const ticks = (text) => text.split(/(`[^`]+`)/).map((part) => (part.length > 2 && part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part));
  const place = (position) => (position.stretch ? say("not-kept") : position.at ? position.place : say("nowhere"));

  function counts(found) {
    return Object.entries(found).filter(([, count]) => count).map(([kind, count]) => `${say(`count.${kind}`)}: ${count.toLocaleString("en")}`);
  }

  /** Loss, gradient norm, update ratio and random state, as last known here. */
  function numbers(position, number) {
    const known = {};
    for (let back = number; back >= 0 && back > number - 400; back -= 1) {
      for (const [name, value] of Object.entries(positions[back].numbers ?? {})) known[name] ??= { value, here: back === number };
    }
    const parts = [];
    for (const name of ["loss", "gradient", "ratio"]) {
      if (!known[name]) continue;
      parts.push(el("div", { class: known[name].here ? "new" : "" }, el("dt", {}, say(`lane.${name}`)), el("dd", {}, known[name].value)));
    }
    const drew = position.drew;
    if (drew !== undefined) {
      const words = drew.length ? say("random-moved", { what: drew.map((name) => say(`random.${name}`)).join(", ") }) : say("random-still");
      parts.push(el("div", { class: drew.length ? "new" : "" }, el("dt", {}, say("random-state")), el("dd", {}, words)));
    }
    fill($("numbers"), ...parts);
  }

  /** Tensors are read while lines are followed: beyond, the page says as of when they are. */
  function stale(position) {
    const box = $("stale");
    const last = DATA.window.last;
    const ended = DATA.window.ended !== "end" && DATA.window.ended !== "open"; // else lines were followed to the last one
    box.hidden = !(position.stretch || (ended && position.events[0] > last));
    if (box.hidden) return;
    if (last < 0) fill(box, say(DATA.window.ended === "debugger" ? "no-window.debugger" : "no-window"));
    else fill(box, say("stale", { event: last, n: DATA.window.kept }), " ", el("button", { type: "button", class: "link", onclick: () => event(last) }, say("stale-go")));
  }

  // -- moving ----------------------------------------------------------------------------------

  function go(number) {
    const target = Math.max(0, Math.min(number, positions.length - 1));
    if (!positions.length || target === current) return;
    current = target;
    moves += 1;
    const position = positions[current];
    const before = position.stretch ? State.at(position.state) : position.state > 0 ? State.at(position.state - 1) : null;
    const changed = Tree.show(State.at(position.state), before);
    Code.show(position, current);
    const words = now(position, changed);
    numbers(position, current);
    stale(position);
    Findings.moved(current);
    $("position").textContent = say("position", { at: (current + 1).toLocaleString("en"), of: positions.length.toLocaleString("en") });
    Lanes.show(position, words);
    $("live").textContent = words;
    for (const id of ["go-first", "go-back", "go-step-back"]) $(id).setAttribute("aria-disabled", String(current === 0));
    for (const id of ["go-last", "go-on", "go-step-on"]) $(id).setAttribute("aria-disabled", String(current === positions.length - 1));
    if (moves > 1 && !runTouched) $("run").open = false;
    address(position.events[0]);
  }

  /** The next position at which an optimizer steps. */
  function step(way) {
    for (let at = current + way; at >= 0 && at < positions.length; at += way) {
      if (positions[at].stretch || positions[at].kinds.includes("step")) return go(at);
    }
    go(way > 0 ? positions.length - 1 : 0);
  }

  function event(number) {
    go(Lanes.nearest(number));
  }

  function address(number) {
    try { history.replaceState(null, "", `#e=${number}`); } catch { /* a frame without an address */ }
  }

  function fromAddress() {
    const found = /^#e=(\d+)$/.exec(location.hash);
    return found ? Number(found[1]) : -1;
  }

  // -- keys, theme, help ------------------------------------------------------------------------

  const KEYS = [
    ["→", "", "forth"], ["←", "", "back"], ["Shift →", "", "step-on"], ["Shift ←", "", "step-back"], ["]", "", "next-finding"], ["[", "", "previous-finding"],
    ["n", "", "next-visit"], ["p", "", "previous-visit"], ["/", "", "search-what"], ["Home", "", "first"], ["End", "", "last"], ["+", "−", "zoom"], ["0", "", "zoom-all"], ["t", "", "theme"], ["?", "", "help"],
  ];

  function visit(way) {
    const at = positions[current]?.at;
    if (at) Code.walk(Code.key(at), way);
  }

  function zoom(by) {
    const [from, to] = Lanes.zoom(by);
    $("live").textContent = say("zoomed", { from, to });
  }

  const ACTIONS = {
    ArrowRight: (shift) => (shift ? step(1) : go(current + 1)), ArrowLeft: (shift) => (shift ? step(-1) : go(current - 1)),
    "]": () => Findings.step(1), "[": () => Findings.step(-1),
    n: () => visit(1), p: () => visit(-1), "/": () => Search.open(), "?": () => $("help").showModal(), t: theme,
    Home: () => go(0), End: () => go(positions.length - 1), "+": () => zoom(4), "=": () => zoom(4), "-": () => zoom(0.25), 0: () => zoom(0),
  };

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const inText = event.target.matches?.("input:not([type=range]), textarea, select");
    const action = ACTIONS[event.key];
    if (inText || !action) return;
    event.preventDefault();
    action(event.shiftKey);
  }

  const dark = () => (document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);

  function theme() {
    const next = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("steplens-theme", next); } catch { /* no storage in a sandboxed frame */ }
    named();
    Lanes.draw();
  }

  function named() {
    fill($("theme"), el("span", { "aria-hidden": "true" }, dark() ? "☀" : "☾"), el("span", { class: "unseen" }, say(dark() ? "to-light" : "to-dark")));
    $("theme").title = say(dark() ? "to-light" : "to-dark");
  }

  /** The run: its account, what was looked at and what was not. */
  function run() {
    const head = DATA.head;
    const rows = head.account.map((row) => el("tr", {}, el("th", { scope: "row" }, row.head), el("td", {},
      row.names ? el("b", { class: "names" }, row.names) : null, row.names && row.said.length ? " " : null, row.said.join(" · ").replaceAll("->", "→"),
      row.fine ? el("span", { class: "fine" }, ` ✓ ${say("fine")}`) : null,
      ...(row.codes ?? []).map((code) => el("span", { class: "code" }, ` ${code}`)))));
    fill($("run-text"),
      head.caveats.length ? el("ul", { class: "caveats" }, ...head.caveats.map((each) => el("li", {}, each))) : null,
      el("table", { class: "account" }, el("caption", { class: "unseen" }, say("account")), el("tbody", {}, ...rows)),
      el("div", { class: "looked" },
        el("div", {}, el("h3", {}, say("looked")), el("ul", {}, ...head.looked[0].map((each) => el("li", {}, each)))),
        el("div", {}, el("h3", {}, say("missed")), el("ul", {}, ...head.looked[1].map((each) => el("li", {}, each))))),
      el("details", {}, el("summary", {}, say("rules-ran")), el("p", { class: "faint" }, head.ran.join(" ")), el("p", { class: "faint" }, `${say("rules-idle")}: ${head.idle.join(" ") || "-"}`)),
      head.suppressed.length ? el("details", {}, el("summary", {}, say("suppressed", { n: head.suppressed.length })), el("ul", {}, ...head.suppressed.map((each) => el("li", {}, each)))) : null,
      el("p", { class: "faint" }, [head.started, `torch ${head.torch || "-"}`, `Python ${head.python}`, `steplens ${head.steplens}`].filter(Boolean).join(" · ")));
    if (DATA.findings.length) $("state").append($("run"));
    $("run").open = fromAddress() < 0 && (!DATA.findings.length || head.caveats.length > 0);
    $("run").querySelector("summary").addEventListener("click", () => { runTouched = true; });
  }

  function start() {
    const program = DATA.head.program;
    const name = program.split(/^[A-Za-z]:\\/.test(program) ? /[\\/]/ : "/").pop() || program;
    fill($("program"), el("span", { title: DATA.head.program }, name));
    $("line").textContent = DATA.head.line;
    run();
    Tree.build();
    Findings.build(go);
    Code.build(positions, go);
    Lanes.build(go, positions);
    Search.build(go);
    named();
    fill($("help-text"), el("table", {}, el("tbody", {}, ...KEYS.map(([one, other, words]) => el("tr", {}, el("td", {}, el("kbd", {}, one), other ? el("kbd", {}, other) : null), el("td", {}, say(words)))))),
      el("h3", {}, say("marks")), el("ul", { class: "legend" }, ...Object.entries(LETTERS).map(([kind, letter]) => el("li", {}, el("span", { class: `chip k-${kind}`, "aria-hidden": "true" }, letter), say(`kind.${kind}`)))),
      el("p", {}, say("help-address")));
    $("help-open").addEventListener("click", () => $("help").showModal());
    $("theme").addEventListener("click", theme);
    for (const [id, act] of [["go-first", () => go(0)], ["go-step-back", () => step(-1)], ["go-back", () => go(current - 1)], ["go-on", () => go(current + 1)], ["go-step-on", () => step(1)], ["go-last", () => go(positions.length - 1)], ["zoom-in", () => zoom(4)], ["zoom-out", () => zoom(0.25)], ["zoom-all", () => zoom(0)]]) $(id).addEventListener("click", act);
    document.addEventListener("keydown", key);
    addEventListener("hashchange", () => { if (fromAddress() >= 0) event(fromAddress()); });
    $("app").hidden = false;
    Lanes.draw();
    document.querySelector("footer").hidden = !positions.length;
    if (!positions.length) { fill($("now"), el("p", { class: "says" }, say("no-events"))); return; }
    const wanted = fromAddress();
    if (DATA.findings.length) {
      const first = DATA.findings.reduce((best, each, number) => (each.stop < DATA.findings[best].stop ? number : best), 0);
      Findings.choose(first, wanted < 0 ? undefined : -1);
    }
    if (wanted >= 0) event(wanted);
    else if (!DATA.findings.length) go(0);
  }

  return { start, event, go };
})();

Page.start();
