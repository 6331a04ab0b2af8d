// Search: parameters, lines of code, events by number.
"use strict";

const Search = (() => {
  const dialog = document.getElementById("search");
  const query = document.getElementById("query");
  const results = document.getElementById("results");
  const MOST = 60;
  let found = [], active = 0, go = null;

  function build(move) {
    go = move;
    document.getElementById("search-open").addEventListener("click", open);
    query.addEventListener("input", update);
    query.addEventListener("keydown", (event) => {
      const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (way) { event.preventDefault(); choose(active + way); }
      if (event.key === "Enter") { event.preventDefault(); take(active); }
    });
  }

  function open() {
    dialog.showModal();
    query.select();
    update();
  }

  /** Events by number, parameters by name, lines by number or text. */
  function matches(text) {
    const out = [];
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (/^#?\d+$/.test(text.trim())) {
      const event = Number(text.trim().replace("#", ""));
      if (event <= DATA.lanes.last) out.push({ kind: "event", title: `#${event}`, more: "", take: () => Page.event(event) });
    }
    const fits = (name) => words.every((word) => name.toLowerCase().includes(word));
    for (const tensor of Tree.tensors.values()) {
      if (words.length && !fits(`${tensor.full} ${tensor.role}`)) continue;
      out.push({ kind: tensor.role, title: tensor.full, more: `${tensor.dtype}[${tensor.shape.join(", ")}]`, take: () => Tree.find(tensor.number) });
      if (out.length > MOST) return out;
    }
    DATA.files.forEach((file, number) => file.lines.forEach((spans, index) => {
      if (out.length > MOST || !words.length) return;
      const text = spans.filter((_, place) => place % 2).join("");
      const title = `${file.title} ${say("line", { n: index + 1 })}`;
      if (!text.trim() || !fits(`${title} :${index + 1} ${text}`)) return;
      const here = `${number}:${index + 1}`;
      const times = Code.visits.get(here)?.length ?? 0;
      out.push({ kind: "code", title: text.trim(), more: times ? `${title} · ${say("visits", { n: times })}` : title, take: () => line(here) });
    }));
    return out;
  }

  function line(here) {
    if (Code.visits.has(here)) Code.walk(here);
    else Code.rows.get(here)?.row.scrollIntoView({ block: "center" });
  }

  function update() {
    found = matches(query.value).slice(0, MOST);
    fill(results, ...found.map((each, number) => el("li", { role: "option", id: `result-${number}`, "aria-selected": "false", onclick: () => take(number) },
      el("span", { class: "kind" }, say(`result.${each.kind}`)), el("code", {}, each.title), el("span", { class: "faint" }, each.more))));
    if (!found.length) results.append(el("li", { role: "option", "aria-selected": "false", "aria-disabled": "true", class: "faint" }, say("nothing-found")));
    choose(0);
  }

  function choose(number) {
    active = found.length ? (number + found.length) % found.length : 0;
    [...results.children].forEach((each, place) => each.setAttribute("aria-selected", String(place === active && found.length > 0)));
    if (found.length) {
      query.setAttribute("aria-activedescendant", `result-${active}`);
      results.children[active].scrollIntoView({ block: "nearest" });
    } else query.removeAttribute("aria-activedescendant");
  }

  function take(number) {
    if (!found[number]) return;
    dialog.close();
    query.blur(); // else the next keys are its
    found[number].take();
  }

  return { build, open };
})();
