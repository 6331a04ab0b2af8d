// The timeline: lanes of calls, lines of values, pins of findings, and the slider, over the run.
"use strict";

const Lanes = (() => {
  const data = DATA.lanes;
  const canvas = document.getElementById("canvas");
  const chart = document.getElementById("chart");
  const labels = document.getElementById("labels");
  const head = document.getElementById("head");
  const pins = document.getElementById("pins");
  const slider = document.getElementById("slider");
  const LANE = 12, SERIES = 22, GAP = 2, PAD = 8;
  const end = Math.max(data.last, 1);
  const narrow = matchMedia("(max-width: 900px)").matches; // small screens show the loss only
  let view = [0, end], now = 0, go = null, list = [];

  const lanes = [
    { key: "modes", kind: "segments", parts: data.modes },
    { key: "grad", kind: "segments", parts: data.grad },
    ...["forward", "backward", "clear", "step"].map((key, column) => ({ key, kind: "calls", calls: data.calls[key], column: column + 2 })),
    ...Object.entries(data.series).filter(([key]) => key === "loss" || !narrow).map(([key, points]) => ({ key, kind: "series", lines: [points] })),
    ...(data.rates.length && !narrow ? [{ key: "rate", kind: "series", lines: data.rates.map((rate) => rate.points) }] : []),
  ];

  function build(move, positions) {
    go = move;
    list = positions;
    let top = 0;
    for (const lane of lanes) {
      lane.top = top;
      lane.height = lane.kind === "series" ? SERIES : LANE;
      top += lane.height + GAP;
      lane.label = el("span", { class: `label k-${lane.key}` });
      lane.label.style.height = `${lane.height + GAP}px`;
      lane.value = el("span", { class: "value" });
      fill(lane.label, el("span", { class: "what" }, say(`lane.${lane.key}`)), lane.value);
      if (lane.kind === "series") prepare(lane);
      labels.append(lane.label);
    }
    lanes.height = top;
    chart.style.setProperty("--lanes", `${top}px`);
    canvas.setAttribute("aria-label", say("lanes-words", { last: end, names: lanes.map((lane) => say(`lane.${lane.key}`)).join(", ") }));
    DATA.findings.forEach((finding, number) => {
      const pin = el("button", { type: "button", class: `tick ${finding.severity}`, tabindex: "-1", "data-finding": number, title: `${finding.code} ${finding.name}`, "aria-label": say("tick", { code: finding.code, name: finding.name }), onclick: () => Findings.choose(number) }, Findings.sign(finding.severity));
      pins.append(pin);
    });
    chart.addEventListener("pointerdown", (event) => { if (event.target === canvas) { at(event); canvas.setPointerCapture(event.pointerId); } });
    chart.addEventListener("pointermove", (event) => { if (event.buttons && event.target === canvas) at(event); });
    chart.addEventListener("pointermove", (event) => read(eventAt(event)));
    chart.addEventListener("pointerleave", () => read(null));
    slider.addEventListener("input", () => go(nearest(Number(slider.value))));
    new ResizeObserver(draw).observe(chart);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    document.getElementById("zoom").hidden = end < 60;
  }

  /** Range and scale of a line: logarithmic where its values span more than two powers of ten. */
  function prepare(lane) {
    const values = lane.lines.flat().flatMap((point) => [point[1], point[2]]).filter((v) => v !== null);
    const low = Math.min(...values.slice(0, 20000)), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    lane.log = values.length > 0 && low > 0 && high / low > 100;
    const scale = (v) => (lane.log ? Math.log10(v) : v);
    lane.low = scale(values.reduce((a, b) => Math.min(a, b), Infinity));
    lane.high = scale(high);
    lane.y = (v) => lane.top + lane.height - 3 - (lane.high > lane.low ? (scale(v) - lane.low) / (lane.high - lane.low) : 0.5) * (lane.height - 6);
    if (lane.log) lane.label.firstChild.append(el("small", {}, say("log")));
  }

  const width = () => chart.clientWidth - 2 * PAD;
  const x = (event) => PAD + ((event - view[0]) / (view[1] - view[0])) * width();

  function eventAt(pointer) {
    const share = (pointer.clientX - chart.getBoundingClientRect().left - PAD) / width();
    return Math.round(view[0] + Math.min(Math.max(share, 0), 1) * (view[1] - view[0]));
  }

  const at = (pointer) => go(nearest(eventAt(pointer)));

  /** What the lines say under the pointer. */
  function read(event) {
    const box = document.getElementById("reading");
    if (event === null || !list.length) { box.textContent = ""; return; }
    const there = list[nearest(event)];
    const parts = [`#${event}`, say("after", { n: there.step, steps: there.step.toLocaleString("en") })];
    for (const lane of lanes) {
      if (lane.kind !== "series") continue;
      const found = lane.lines.map((points) => value(points, event)).filter((v) => v !== null);
      if (found.length) parts.push(`${say(`lane.${lane.key}`)} ${found.map((v) => Number(v.toPrecision(4))).join(", ")}`);
    }
    box.textContent = parts.join(" · ");
  }

  /** The position whose events are nearest to an event number. */
  function nearest(event) {
    let low = 0, high = list.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].events[1] < event) low = middle + 1; else high = middle;
    }
    const before = list[low - 1];
    return before && event - before.events[1] < list[low].events[0] - event ? low - 1 : low;
  }

  function color(lane, name) {
    const style = getComputedStyle(lane.label);
    return name ? getComputedStyle(document.getElementById(name)).color : style.color;
  }

  function draw() {
    const ratio = devicePixelRatio || 1;
    const wide = chart.clientWidth;
    if (!wide) return;
    canvas.width = wide * ratio;
    canvas.height = lanes.height * ratio;
    canvas.style.height = `${lanes.height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, wide, lanes.height);
    for (const lane of lanes) {
      pen.fillStyle = pen.strokeStyle = color(lane);
      pen.globalAlpha = 0.07;
      pen.fillRect(PAD, lane.top, wide - 2 * PAD, lane.height);
      pen.globalAlpha = 1;
      if (lane.kind === "segments") segments(pen, lane);
      else if (lane.kind === "calls") calls(pen, lane);
      else lane.lines.forEach((points, number) => line(pen, lane, points, number));
    }
    for (const range of data.gaps) gap(pen, range);
    for (const pin of pins.children) mark(pen, pin);
    place();
  }

  function segments(pen, lane) {
    lane.parts.forEach(([from, value], number) => {
      const until = lane.parts[number + 1]?.[0] ?? end;
      const left = Math.max(x(from), PAD), right = Math.min(x(until), PAD + width());
      if (right < left) return;
      const usual = value === "train" || value === "on";
      pen.globalAlpha = usual ? 0.25 : value === "both" ? 0.6 : 1;
      pen.fillRect(left, lane.top + (usual ? lane.height - 4 : 2), Math.max(right - left, 1), usual ? 3 : lane.height - 4);
      pen.globalAlpha = 1;
      if (right - left > 34) {
        pen.save();
        pen.font = "10px system-ui, sans-serif";
        pen.fillStyle = color(lane, usual ? "position" : "lanes");
        pen.textBaseline = "middle";
        if (!usual) pen.fillStyle = getComputedStyle(chart).backgroundColor;
        pen.fillText(say(value === "both" ? "both" : value), left + 4, lane.top + lane.height / 2 - (usual ? 1 : 0));
        pen.restore();
      }
    });
  }

  function calls(pen, lane) {
    const step = width() / (view[1] - view[0]);
    const thick = Math.max(1, Math.min(6, step * 0.7));
    for (const event of lane.calls) {
      const left = x(event);
      if (left < PAD - 1 || left > PAD + width() + 1) continue;
      pen.globalAlpha = step > 2 ? 1 : 0.6;
      pen.fillRect(left - thick / 2, lane.top + 2, thick, lane.height - 4);
    }
    if (data.gaps.length) {
      for (const row of data.stretches) {
        if (!row[lane.column] || !data.gaps.some(([from, to]) => row[0] + data.width > from && row[0] <= to)) continue;
        const left = Math.max(x(row[0]), PAD), right = Math.min(x(row[0] + data.width), PAD + width());
        if (right <= left) continue;
        pen.globalAlpha = 0.35 + 0.4 * Math.min(1, (row[lane.column] / data.width) * 4);
        pen.fillRect(left, lane.top + 3, right - left, lane.height - 6);
      }
    }
    pen.globalAlpha = 1;
  }

  function line(pen, lane, points, number) {
    const inside = points.filter((point) => point[0] + data.width >= view[0] && point[0] <= view[1]);
    pen.lineWidth = 1.5;
    pen.setLineDash(number ? [4, 2 + number] : []);
    pen.beginPath();
    let open = false;
    for (const [event, low, high, last] of inside) {
      if (last === null) { open = false; continue; }
      const across = x(event + (data.width - 1) / 2);
      if (low !== high) {
        pen.globalAlpha = 0.3;
        pen.fillRect(across - 0.75, lane.y(high), 1.5, Math.max(lane.y(low) - lane.y(high), 1));
        pen.globalAlpha = 1;
      }
      if (open) pen.lineTo(across, lane.y(last)); else pen.moveTo(across, lane.y(last));
      open = true;
    }
    pen.stroke();
    pen.setLineDash([]);
    if (inside.length <= 60) {
      for (const [event, , , last] of inside) {
        if (last === null) continue;
        pen.beginPath();
        pen.arc(x(event + (data.width - 1) / 2), lane.y(last), 2, 0, 7);
        pen.fill();
      }
    }
  }

  /** A finding, through all lanes. */
  function mark(pen, pin) {
    const across = x(list[DATA.findings[Number(pin.dataset.finding)].stop].events[0]);
    if (across < PAD || across > PAD + width()) return;
    pen.fillStyle = getComputedStyle(pin).color;
    pen.globalAlpha = 0.5;
    pen.fillRect(across - 0.5, 0, 1, lanes.height);
    pen.globalAlpha = 1;
  }

  /** Where events were counted and not kept: a dashed frame with words. */
  function gap(pen, range) {
    const left = Math.max(x(range[0]), PAD), right = Math.min(x(range[1]), PAD + width());
    if (right - left < 4) return;
    pen.strokeStyle = color(lanes[0], "position");
    pen.globalAlpha = 0.5;
    pen.setLineDash([3, 4]);
    pen.strokeRect(left, 0.5, right - left, lanes.height - GAP - 1);
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  function place() {
    const across = Math.min(Math.max(x(now), PAD), PAD + width());
    head.style.transform = `translateX(${across}px)`;
    [...pins.children].forEach((pin, number) => {
      const stop = list[DATA.findings[number].stop];
      const where = x(stop ? stop.events[0] : 0);
      pin.hidden = where < PAD - 1 || where > PAD + width() + 1;
      pin.style.left = `${where}px`;
    });
    slider.min = view[0];
    slider.max = view[1];
    slider.value = now;
  }

  /** The value of a line at an event: the newest one up to it. */
  function value(points, event) {
    let low = 0, high = points.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] <= event) low = middle + 1; else high = middle;
    }
    return low ? points[low - 1][3] : null;
  }

  function show(position, words) {
    now = position.events[0];
    const span = view[1] - view[0];
    if (now < view[0] || now > view[1]) set(now - span / 2, span);
    for (const lane of lanes) {
      if (lane.kind === "series") {
        const found = lane.lines.map((points) => value(points, now)).filter((v) => v !== null);
        fill(lane.value, found.map((v) => String(Number(v.toPrecision(4)))).join(" · "));
      } else if (lane.kind === "segments") {
        const part = lane.parts.findLast(([from]) => from <= now);
        fill(lane.value, part ? say(part[1]) : "");
      }
    }
    place();
    slider.setAttribute("aria-valuetext", words);
  }

  function set(from, span) {
    const wide = Math.max(8, Math.min(span, end));
    const start = Math.max(0, Math.min(from, end - wide));
    view = [Math.floor(start), Math.ceil(start + wide)];
    draw();
  }

  /** Closer (2) or farther (0.5) around the present position; 0 for the whole run. */
  function zoom(by) {
    if (!by) set(0, end);
    else {
      const span = (view[1] - view[0]) / by;
      set(now - span / 2, span);
    }
    return view;
  }

  return { build, show, zoom, draw, nearest };
})();
