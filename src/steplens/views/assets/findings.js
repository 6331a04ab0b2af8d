// Findings: one card with evidence, cause and effect together, and the rule's own text.
"use strict";

const Findings = (() => {
  const nav = document.getElementById("findings");
  const card = document.getElementById("card");
  const signs = { error: "✕", warning: "▲", note: "●" };
  const sign = (severity) => signs[severity];
  let chosen = -1, go = null, buttons = [];

  function build(move) {
    go = move;
    if (!DATA.findings.length) {
      nav.append(el("p", { class: "clean" }, el("span", { "aria-hidden": "true" }, "✓ "), say("clean")));
      return;
    }
    DATA.findings.forEach((finding, number) => {
      const button = el("button", { type: "button", class: `finding ${finding.severity}`, title: finding.message, onclick: () => choose(number) },
        el("span", { class: "sign", "aria-hidden": "true" }, sign(finding.severity)), " ", el("b", {}, finding.code), " ", el("span", { class: "long" }, finding.name),
        el("span", { class: "unseen" }, ` ${say(`severity.${finding.severity}`)}`));
      buttons.push(button);
      nav.append(button);
    });
    if (buttons.length > 1) nav.append(el("span", { class: "keys", "aria-hidden": "true" }, el("kbd", {}, "["), el("kbd", {}, "]")));
  }

  /** Text with `code` in backticks. */
  function inline(text) {
    return text.split(/(`[^`]+`)/).map((part) => (part.length > 2 && part.startsWith("`") ? el("code", {}, part.slice(1, -1)) : part));
  }

  /** The rule's page: headings, paragraphs, indented or fenced code, lists. */
  function prose(text) {
    const box = el("div", { class: "prose" });
    for (const block of text.replace(/```\w*\n([\s\S]*?)```/g, (all, code) => code.replace(/^(?=.)/gm, "    ")).split(/\n{2,}/)) {
      if (block.startsWith("#")) {
        const [first, ...rest] = block.split("\n");
        box.append(el("h4", {}, first.replace(/^#+\s*/, "")));
        if (rest.length) box.append(...prose(rest.join("\n")).childNodes);
      } else if (/^ {4}/.test(block)) {
        box.append(el("pre", {}, block.replace(/^ {4}/gm, "")));
      } else if (/^[-*] /.test(block)) {
        box.append(el("ul", {}, ...block.split(/\n(?=[-*] )/).map((item) => el("li", {}, ...inline(item.slice(2).replace(/\s*\n\s*/g, " "))))));
      } else if (block.trim()) {
        box.append(el("p", {}, ...inline(block.replace(/\s*\n\s*/g, " "))));
      }
    }
    return box;
  }

  /** The line a mark points at, with its code and label. */
  function mark(place, main, severity) {
    const spans = place.spot && DATA.files[place.spot[0]]?.lines[place.spot[1] - 1];
    const code = spans ? spans.filter((_, index) => index % 2).join("").trim() : "";
    const inside = [
      el("span", { class: "where" }, place.place),
      el("code", {}, code),
      el("span", { class: `says ${main ? severity : "cause"}` }, `${main ? sign(severity) : "↳"} `, ...inline(place.label || say("here"))),
    ];
    const moves = place.stop >= 0;
    return el("li", {}, moves ? el("button", { type: "button", class: "mark", onclick: () => go(place.stop) }, ...inside) : el("div", { class: "mark" }, ...inside));
  }

  /** Places in the order in which they ran; one without a stop stays after the one before it. */
  function inOrder(places) {
    let last = -1;
    const keyed = places.map((each, number) => { last = each[0].stop >= 0 ? each[0].stop : last; return [last, number, each]; });
    return keyed.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, , each]) => each);
  }

  function draw() {
    buttons.forEach((button, number) => button.setAttribute("aria-pressed", String(number === chosen)));
    for (const pin of document.querySelectorAll(".pin")) pin.classList.toggle("chosen", Number(pin.dataset.finding) === chosen);
    if (chosen < 0) { fill(card); return; }
    const it = DATA.findings[chosen];
    const marks = inOrder([...it.because.map((each) => [each, false]), [it.at, true]]).map(([each, main]) => mark(each, main, it.severity));
    const rows = it.evidence.map(([subject, got, expected]) => el("tr", {}, el("th", { scope: "row" }, ...inline(subject)), el("td", {}, ...inline(got)), el("td", { class: "expected" }, ...(expected ? inline(say("expected", { what: expected })) : []))));
    const steps = it.steps[2] > 1 ? el("p", { class: "faint" }, say("times", { n: it.steps[2], first: it.steps[0], last: it.steps[1] })) : null;
    const page = DATA.pages[it.code];
    const body = el("div", { class: "body" },
      it.rule ? el("p", {}, ...inline(it.rule)) : null,
      el("ol", { class: "marks", "aria-label": say("cause-and-effect") }, ...marks),
      rows.length ? el("table", {}, el("caption", { class: "unseen" }, say("evidence")), el("tbody", {}, ...rows)) : null,
      steps,
      it.help ? el("p", { class: "help" }, el("b", {}, say("to-do")), " ", ...inline(it.help)) : null,
      it.consequences.length ? el("p", { class: "faint" }, say("explains", { codes: it.consequences.join(", ") })) : null,
      page ? el("details", { class: "rule" }, el("summary", {}, say("rule-text", { code: it.code })), prose(page)) : el("p", { class: "faint" }, say("rule-command", { code: it.code })));
    const box = el("details", { class: `card ${it.severity}` },
      el("summary", {}, el("h2", {}, el("span", { class: "sign", "aria-hidden": "true" }, sign(it.severity)), ` ${say(`severity.${it.severity}`)} `, el("b", {}, `${it.code} ${it.name}`)), el("p", {}, ...inline(it.message))),
      body);
    box.open = true;
    fill(card, box);
  }

  /** Choose a finding and go to its stop (or to another place of it). */
  function choose(number, stop) {
    chosen = number;
    draw();
    const it = DATA.findings[number];
    const target = stop !== undefined && stop >= 0 ? stop : it.stop;
    if (target >= 0) go(target);
    Code.point(it.at.spot, target);
    document.getElementById("state").scrollTop = 0;
  }

  /** The next finding in the order of the run, or the one before. */
  function step(way) {
    if (!DATA.findings.length) return;
    const order = DATA.findings.map((_, number) => number).sort((a, b) => DATA.findings[a].stop - DATA.findings[b].stop || a - b);
    const at = order.indexOf(chosen);
    choose(order[at < 0 ? (way > 0 ? 0 : order.length - 1) : (at + way + order.length) % order.length]);
  }

  /** At a move: away from its places the card closes to a line; it opens again where it belongs. */
  function moved(stop) {
    const box = card.firstElementChild;
    if (!box) return;
    const it = DATA.findings[chosen];
    box.open = [it.stop, it.at.stop, ...it.because.map((each) => each.stop)].includes(stop);
  }

  return { build, choose, step, moved, sign, inline, get chosen() { return chosen; } };
})();
