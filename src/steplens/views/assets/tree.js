// The right side: modules as the user named them, their tensors and gradients, the optimizers.
"use strict";

const Tree = (() => {
  const root = document.getElementById("tree");
  const MANY = 30; // rows from which on inner groups begin closed
  const rows = []; // everything that is brought up to date at a move
  let after = null, before = null;

  const tensors = new Map(DATA.tensors.map(([number, name, full, role, dtype, shape, module, names]) => [number, { number, name, full, role, dtype, shape, module, names }]));
  const modules = new Map(DATA.modules.map(([number, name, type, label, parent, root, sensitive]) => [number, { number, name, type, label, parent, root, sensitive }]));
  const ofModule = new Map();
  const below = new Map();
  for (const each of modules.values()) {
    if (each.parent === each.number) continue;
    if (!below.has(each.parent)) below.set(each.parent, []);
    below.get(each.parent).push(each);
  }
  const children = (number) => below.get(number) ?? [];
  for (const tensor of tensors.values()) {
    if (!ofModule.has(tensor.module)) ofModule.set(tensor.module, []);
    ofModule.get(tensor.module).push(tensor);
  }

  /** One line for a tensor: name, shape, what it holds, its norm, and what changed. */
  function line(name, cell, part, title) {
    const label = el("span", { class: "name", title }, name);
    const shape = el("span", { class: "shape" });
    const held = el("span", { class: "held" });
    const norm = el("span", { class: "norm" });
    const change = el("span", { class: "change" });
    const node = el("li", { class: `tensor ${part}` }, label, shape, held, norm, change);
    let shown;
    const row = {
      node,
      changed: false,
      update() {
        const now = State.read(after, cell), was = State.read(before, cell);
        const words = before === null ? "" : Tensors.words(was, now, part);
        row.changed = words !== "";
        const print = `${now}|${words}`;
        if (print === shown) return;
        shown = print;
        node.classList.toggle("changed", row.changed);
        node.classList.toggle("gone", row.changed && (now === null || now === undefined));
        if (now === null || now === undefined) {
          fill(shape);
          fill(held, el("span", { class: "faint" }, now === null || part === "gradient" ? say("none") : say("not-read")));
          fill(norm);
        } else {
          const record = DATA.records[now];
          fill(shape, Tensors.shape(record));
          fill(held, ...Tensors.content(record), ...Tensors.warnings(record));
          fill(norm, Tensors.norm(record));
        }
        fill(change, words);
        change.title = words;
      },
    };
    rows.push(row);
    return row;
  }

  /** The words of what a gradient holds: which backward passes, from where, used by which steps. */
  function holding(number) {
    const held = DATA.holdings[number];
    const parts = [say("holds")];
    held.forEach(([event], position) => {
      if (position) parts.push(position === held.length - 1 ? say("and") : ", ");
      const place = DATA.backwards[event] ?? say("nowhere");
      parts.push(el("button", { type: "button", class: "link", onclick: () => Page.event(event) }, say("backward-at", { event, place })));
    });
    const used = held.filter(([, steps]) => steps.length);
    if (!used.length) parts.push(say("unused"));
    else if (used.length === held.length && new Set(used.map(([, steps]) => steps.join())).size === 1) {
      parts.push(say("used-all", { steps: used[0][1].join(", ") }));
    } else {
      for (const [event, steps] of used) parts.push(say("used-one", { event, steps: steps.join(", ") }));
    }
    return parts;
  }

  function ledger(tensor) {
    const node = el("li", { class: "ledger" });
    let shown;
    rows.push({
      changed: false,
      update() {
        const held = after.holds.get(tensor.number) ?? -1;
        if (held === shown) return;
        shown = held;
        node.hidden = held < 0;
        fill(node, ...(held < 0 ? [] : holding(held)));
      },
    });
    return node;
  }

  /** A flag in words that are marked where they have changed. */
  function flag(cell, words, name) {
    const node = el("span", { class: `flag ${name}` });
    let shown;
    const row = {
      changed: false,
      update() {
        const now = State.read(after, cell), was = before === null ? now : State.read(before, cell);
        row.changed = was !== undefined && was !== now;
        const print = `${now}|${was}`;
        if (print === shown) return;
        shown = print;
        node.classList.toggle("changed", row.changed);
        node.dataset.value = String(now);
        fill(node, words(now), row.changed ? el("i", {}, ` ${say("was", { was: words(was) })}`) : "");
      },
    };
    rows.push(row);
    return { node, row };
  }

  /** Whether the parameters of a module (its own and those below) are trainable. */
  function trainable(own) {
    const node = el("span", { class: "flag trainable" });
    const inside = [];
    const gather = (module) => {
      for (const tensor of ofModule.get(module) ?? []) if (tensor.role === "parameter") inside.push(tensor.number);
      for (const each of children(module)) gather(each.number);
    };
    gather(own);
    if (!inside.length) return null;
    let shown;
    rows.push({
      changed: false,
      update() {
        const on = inside.filter((number) => State.read(after, `t${number}`) !== false).length;
        const words = on === inside.length ? say("trainable") : on ? say("partly-frozen", { n: inside.length - on, of: inside.length }) : say("frozen");
        if (words === shown) return;
        node.classList.toggle("changed", shown !== undefined && before !== null);
        shown = words;
        node.dataset.value = on === inside.length ? "true" : "false";
        fill(node, words);
      },
    });
    return node;
  }

  /** A group that can be closed; closed, it says how much changed in it. */
  function group(heading, body, open) {
    const count = el("span", { class: "count" });
    const node = el("details", { class: "group" }, el("summary", {}, ...heading, count), body);
    node.open = open;
    return { node, count, body };
  }

  function watch(count, mine) {
    rows.push({
      changed: false,
      late: true,
      update() {
        const changed = mine.filter((row) => row.changed).length;
        const words = changed ? say("changed", { n: changed }) : "";
        if (count.textContent !== words) fill(count, words);
      },
    });
  }

  function module(entry, depth, many, every) {
    const from = rows.length;
    const body = el("ul", { class: "tensors" });
    for (const tensor of ofModule.get(entry.number) ?? []) {
      const own = tensor.name.split(".").pop();
      const row = line(own, `p${tensor.number}`, tensor.role, tensor.names.length > 1 ? say("tied", { names: tensor.names.join(", ") }) : tensor.full);
      row.node.id = `tensor-${tensor.number}`;
      if (tensor.role === "parameter") row.node.firstChild.append(flag(`t${tensor.number}`, (on) => (on === false ? say("frozen") : ""), "own").node);
      body.append(row.node);
      if (tensor.role === "parameter") {
        body.append(line(".grad", `g${tensor.number}`, "gradient", `${tensor.full}.grad`).node, ledger(tensor));
      }
    }
    const inner = el("div", { class: "inner" }, body.childElementCount ? body : null);
    for (const child of children(entry.number)) inner.append(module(child, depth + 1, many, every));
    const name = depth ? entry.name.split(".").pop() : entry.label || entry.type;
    const mode = flag(`m${entry.number}`, (on) => (on ? say("train") : say("eval")), "mode");
    const heading = [el("b", { class: "name" }, name), el("span", { class: "type" }, entry.type), mode.node, trainable(entry.number)];
    if (entry.sensitive) heading.push(el("span", { class: "flag sensitive", title: say("sensitive-why") }, say("sensitive")));
    const tail = heading.filter(Boolean);
    if (!inner.childElementCount) return el("div", { class: "group leaf" }, el("div", { class: "summary" }, ...tail));
    const box = group(tail, inner, depth === 0 || !many);
    watch(box.count, rows.slice(from));
    return box.node;
  }

  function optimizer(entry, many) {
    const from = rows.length;
    const name = entry.label || entry.type;
    const inner = el("div", { class: "inner" });
    entry.groups.forEach((options, number) => {
      const rate = flag(`l${entry.number}.${number}`, (value) => `lr ${value}`, "rate");
      const others = Object.entries(options).filter(([key, value]) => key !== "lr" && key !== "initial_lr" && value !== false);
      const words = others.map(([key, value]) => `${key} ${value}`).join(", ");
      const many = entry.groups.length > 1;
      inner.append(el("p", { class: "options" },
        many ? el("b", {}, say("group", { number, n: entry.sizes[number] ?? 0 })) : "", " ", rate.node,
        el("span", { class: "faint" }, words ? ` ${words}` : "")));
    });
    const list = el("ul", { class: "tensors" });
    const keys = DATA.cells.filter((cell) => cell.startsWith(`o${entry.number}.`));
    for (const cell of keys) {
      const [, number, ...rest] = cell.split(".");
      const tensor = tensors.get(Number(number));
      if (!tensor) continue;
      const key = rest.join(".");
      const row = scalars.has(cell) ? plain(`${key}[${tensor.full}]`, cell) : line(`${key}[${tensor.full}]`, cell, "moment", say("moment-of", { key, name: tensor.full }));
      list.append(row.node);
    }
    if (list.childElementCount) {
      const box = group([el("span", { class: "name" }, say("state-of", { name })), el("span", { class: "type" }, say("parts", { n: list.childElementCount }))], list, list.childElementCount <= 24 && !many);
      watch(box.count, rows.slice(from));
      inner.append(box.node);
    } else {
      inner.append(el("p", { class: "faint" }, say("no-moments")));
    }
    const heading = [el("b", { class: "name" }, name), el("span", { class: "type" }, entry.type), el("span", { class: "faint" }, say("made-at", { place: entry.place }))];
    const box = group(heading, inner, true);
    watch(box.count, rows.slice(from));
    return box.node;
  }

  // optimizer state that is a plain number rather than a tensor has its text in the cell
  const scalars = new Set();
  for (const [cells] of [...DATA.keys, ...DATA.deltas]) {
    for (let i = 0; i < cells.length; i += 2) {
      const name = DATA.cells[cells[i]];
      if (name.startsWith("o") && typeof cells[i + 1] === "string") scalars.add(name);
    }
  }

  function plain(name, cell) {
    const value = flag(cell, (now) => (now === undefined || now === null ? say("none") : String(now)), "scalar");
    return { node: el("li", { class: "tensor moment" }, el("span", { class: "name" }, name), el("span", { class: "shape" }), value.node), row: value.row };
  }

  function build() {
    const many = tensors.size > MANY;
    const heads = [...modules.values()].filter((each) => each.root === each.number && holdsAny(each.number));
    if (heads.length) {
      const grad = flag("grad", (on) => say(on ? "grad-on" : "grad-off"), "grad");
      root.append(el("div", { class: "heading" }, el("h2", {}, say("modules")), grad.node));
    }
    for (const each of heads) root.append(module(each, 0, many));
    if (DATA.optimizers.length) root.append(el("div", { class: "heading" }, el("h2", {}, say("optimizers"))));
    for (const each of DATA.optimizers) root.append(optimizer(each, many));
    if (!heads.length && !DATA.optimizers.length) root.append(el("p", { class: "faint" }, say("no-state")));
  }

  function holdsAny(number) {
    if ((ofModule.get(number) ?? []).length) return true;
    return children(number).some((each) => holdsAny(each.number));
  }

  /** Bring all rows up to a state; `was` is the state of the stop before, null for none. */
  function show(now, was) {
    [after, before] = [now, was];
    for (const row of rows) row.update();
    return rows.filter((row) => row.changed && !row.late).length;
  }

  /** Open what hides a tensor and bring it into view. */
  function find(number) {
    const node = document.getElementById(`tensor-${number}`);
    if (!node) return;
    for (let up = node.parentElement; up && up !== root; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    node.scrollIntoView({ block: "center" });
    node.classList.add("found");
    setTimeout(() => node.classList.remove("found"), 2500);
  }

  return { build, show, find, tensors };
})();
