// The overlay as it is now: it is told everything first, then what changes (Server-Sent Events).
// All that comes from the overlay is set as text or as an attribute, never as HTML.

import { Happened } from "/events.js";
import { arrange, route } from "/layout.js";

const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 8;
const DASHES = 5;
const AGAIN_MS = 1000; // until a stream of news is asked for again that was answered with none
const DRAW_MS = 50; // from a change until it is drawn, together with others
const DRAW_LARGE_MS = 500; // the same for a large overlay, some of whose nodes report at any moment
const LEAF = 9; // radius of the dot that stands for a node's viewers of one content
const STALK = 5;
const LANE = 7; // between two contents on one link
const LABEL = 110; // the width of its figures
const STEEP = 0.5; // the sine of a line's angle, from which on its figures stand beside it
const BESIDE = 7;
const LABELLED = 14; // edges, up to which their figures stand beside them
const MOST_LEAVES = 3; // contents whose viewers are drawn at a node; what is more is added up
const CROWDED = 60; // nodes, from which on the map has the whole width
const NARROW = 600; // pixels: a phone, where the map grows downwards
const LARGEST_SCALE = 1.25;
const LEAST_HEIGHT = 240;
const EVENTS_SHOWN = 200;
const UNWATCHED_SHOWN = 100;
const DOWN = "✕ "; // before a name
const CUT = "! ";
const MINOR = new Set(["listening", "node_up", "better_way", "server_listed", "parent_doubted"]);
const SIGNS = {
  attached: ["+", ""], joined: ["+", ""], node_registered: ["+", "good"], node_linked: ["+", ""],
  child_left: ["−", ""], cut: ["✕", "bad"], parent_lost: ["✕", "bad"], node_lost: ["✕", "bad"],
  server_lost: ["✕", "bad"], refused: ["✕", "bad"], fed: ["✓", "good"], parent_taken: ["✓", "good"],
  server_failover: ["⇄", ""], serves: ["⇄", ""], rendezvous_taken: ["⇄", ""], begun_anew: ["⇄", ""],
};

const byId = (id) => document.getElementById(id);
const byName = new Intl.Collator(undefined, { numeric: true }).compare;

const state = {
  nodes: new Map(), links: [], rendezvous: [], servers: [], contents: [], unwatched: [],
  happened: new Happened(),
  only: null, // the content that alone is shown
  chosen: null, // {node} or {edge}
  view: null, // the part of the map that is shown; null: all of it
};
const styles = new Map(); // content -> number, for as long as the page is open
let map = null; // where everything stands, until nodes or links change

// Words and figures

const mbit = (rate) => `${(rate / 1e6).toFixed(rate < 1e6 ? 2 : 1)} Mbit/s`;
const ms = (value) => value === null || value === undefined ? "–" : `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
const percent = (value) => `${value ? value.toFixed(value < 10 ? 2 : 0) : "0"} %`;
const megabytes = (value) => value ? `${(value / 1e6).toFixed(0)} MB` : "–";
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

function styleOf(content) {
  if (!styles.has(content)) styles.set(content, styles.size);
  const number = styles.get(content);
  return `c${number % COLOURS} d${number % DASHES}`;
}

// What fits into a box. Of a node's name the beginning tells most, of an address the end; a sign stands before it
// where something is wrong: a colour alone would not be seen by everybody.
function shortened(name, sign, keepsEnd) {
  const round = keepsEnd ? map.box.height / 3 : 0; // a server's box has round ends
  const fits = Math.floor((map.box.width - round) / 7) - sign.length;
  if (name.length <= fits) return sign + name;
  return sign + (keepsEnd ? `…${name.slice(1 - fits)}` : `${name.slice(0, fits - 1)}…`);
}

// Elements

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function html(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Have one child per item, the same one for the same key; others are removed.
function keyed(group, items, keyOf, make, show) {
  const there = new Map([...group.children].map((child) => [child.dataset.key, child]));
  for (const item of items) {
    const key = keyOf(item);
    let child = there.get(key);
    there.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
      group.append(child);
    }
    show(child, item);
  }
  for (const gone of there.values()) gone.remove();
}

const groups = Object.fromEntries(["links", "trees", "leaves", "boxes", "labels"].map((name) => {
  const group = element("g", { class: name });
  byId("map").append(group);
  return [name, group];
}));

// The trees

function parentsOf(stream) {
  if (stream.parents.length) {
    const alone = stream.parents.length === 1;
    return stream.parents.map((each) => ({ ...each, primary: each.primary || alone }));
  }
  const above = stream.path.at(-2); // an older node tells its path alone
  return above ? [{ name: above, server: false, primary: true, round_trip_ms: null }] : [];
}

function edges() {
  const found = [];
  for (const node of state.nodes.values()) {
    for (const stream of node.streams ?? []) {
      if (state.only !== null && stream.content !== state.only) continue;
      for (const parent of parentsOf(stream)) {
        const from = parent.server ? `server ${parent.name}` : parent.name;
        if (map.places.has(from)) found.push({ from, to: node.name, stream, parent, key: `${from}\n${node.name}\n${stream.content}` });
      }
    }
  }
  const lanes = new Map();
  for (const edge of found) {
    edge.pair = [edge.from, edge.to].sort().join("\n");
    lanes.set(edge.pair, [...(lanes.get(edge.pair) ?? []), edge]);
  }
  for (const lane of lanes.values()) {
    lane.sort((one, other) => byName(one.stream.content, other.stream.content));
    lane.forEach((edge, index) => {
      const side = (index - (lane.length - 1) / 2) * (map.box.name === "small" ? LANE / 2 : LANE);
      edge.side = edge.from < edge.to ? side : -side; // the same side, whichever way it goes
      edge.lane = index - (lane.length - 1) / 2;
      edge.alone = lane.length === 1;
    });
  }
  return found;
}

function edgeText(edge) {
  const { stream, parent } = edge;
  const told = `${mbit(stream.bit_rate)} · ${ms(parent.round_trip_ms)}`;
  const loses = stream.lost_before_repair_percent || stream.lost_percent;
  return loses ? `${told} · ${percent(stream.lost_before_repair_percent)} → ${percent(stream.lost_percent)} lost` : told;
}

function makeEdge(edge) {
  const made = element(
    "g", { tabindex: 0, role: "button" }, element("title"), element("path", { class: "grip" }),
    element("path", { class: "line" }), element("path", { class: "arrow" }),
  );
  made.addEventListener("click", () => choose({ edge: made.dataset.key }));
  made.addEventListener("keydown", (event) => { if (event.key === "Enter") choose({ edge: made.dataset.key }); });
  made.classList.add("fresh");
  return made;
}

function routeOf(edge) {
  return route(map.places.get(edge.from), map.places.get(edge.to), map.box, edge.side);
}

function showEdge(made, edge) {
  const { start, middle, end, angle } = routeOf(edge);
  const d = `M${start.x} ${start.y} Q${middle.x} ${middle.y} ${end.x} ${end.y}`;
  const fresh = made.classList.contains("fresh") ? " fresh" : "";
  const chosen = state.chosen?.edge === edge.key ? " chosen" : "";
  made.setAttribute("class", `edge ${styleOf(edge.stream.content)}${edge.parent.primary ? "" : " spare"}${fresh}${chosen}`);
  const [title, grip, line, arrow] = made.children;
  title.textContent = `${edge.stream.content}: ${edge.from} → ${edge.to}\n${edgeText(edge)}`;
  made.setAttribute("aria-label", title.textContent);
  for (const path of [grip, line]) path.setAttribute("d", d);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const tip = (back, aside) => `${end.x - back * cos - aside * sin} ${end.y - back * sin + aside * cos}`;
  arrow.setAttribute("d", `M${tip(0, 0)} L${tip(9, 4.5)} L${tip(9, -4.5)} Z`);
}

// The figures of an edge, nearer to the child, where others are further away. Of a line that is nearly level they stand
// along it, on its own side where several contents share a link; else left of it, as viewers stand right below their
// node, or on it, where the map is narrow.
function showLabel(made, edge) {
  const { start, middle, end, angle } = routeOf(edge);
  const at = along(start, middle, end, map.vertical ? 0.68 : 0.56);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const isSteep = Math.abs(sin) > STEEP;
  const lane = Math.sign(cos) * Math.sign(edge.side) * Math.abs(edge.lane);
  const hasRoom = isSteep || Math.hypot(end.x - start.x, end.y - start.y) > LABEL;
  made.textContent = hasRoom ? edgeText(edge) : "";
  made.setAttribute("class", `label ${styleOf(edge.stream.content)}`);
  made.setAttribute("text-anchor", isSteep && !map.vertical ? "end" : "middle");
  if (isSteep) {
    const aside = !map.vertical ? -BESIDE : Math.abs(cos) < 0.1 ? 0 : Math.sign(cos) * 2 * BESIDE;
    made.setAttribute("transform", `translate(${at.x + aside} ${at.y + lane * 13 + 4})`);
  } else {
    const away = edge.alone ? (sin > 0.1 ? 12 : -5) : lane * 17 + 3.5;
    const upright = Math.atan(sin / cos) * 180 / Math.PI;
    made.setAttribute("transform", `translate(${at.x} ${at.y}) rotate(${upright}) translate(0 ${away})`);
  }
}

function along(start, middle, end, part) {
  const [a, b, c] = [(1 - part) ** 2, 2 * part * (1 - part), part ** 2];
  return { x: a * start.x + b * middle.x + c * end.x, y: a * start.y + b * middle.y + c * end.y };
}

// Nodes, servers, viewers

function boxes() {
  const nodes = [...state.nodes.values()].map((node) => ({ key: node.name, node }));
  return [...nodes, ...state.servers.map((server) => ({ key: `server ${server.address}`, server }))];
}

function makeBox(item) {
  const made = element(
    "g", { tabindex: 0, role: "button" }, element("title"), element("rect"),
    element("text", { class: "name" }), element("text", { class: "sub" }),
  );
  made.addEventListener("click", () => choose({ node: item.key }));
  made.addEventListener("keydown", (event) => { if (event.key === "Enter") choose({ node: item.key }); });
  return made;
}

function nodeLook({ node, server }) {
  if (server) {
    const told = server.up ? `${ms(server.latency_us / 1000)} ± ${ms(server.jitter_us / 1000)}` : "does not answer";
    const name = shortened(server.address, server.up ? "" : DOWN, true);
    return [name, told, `server${server.up ? "" : " down"}`, `server ${server.address}: ${told}`];
  }
  const isCut = (node.streams ?? []).some((stream) => !stream.fed);
  const figures = node.up ? `${node.cpu_percent.toFixed(0)} % · ${megabytes(node.memory_bytes)}` : "down";
  const looks = `${node.kind}${node.up ? "" : " down"}${isCut ? " cut" : ""}`;
  const name = shortened(node.name, !node.up ? DOWN : isCut ? CUT : "", false);
  return [name, isCut ? "cut off" : figures, looks, `${node.kind} ${node.name}: ${isCut ? "cut off" : figures}`];
}

function showBox(made, item) {
  const [title, rect, name, sub] = made.children;
  const [label, below, looks, whole] = nodeLook(item);
  const { width, height } = map.box;
  const place = map.places.get(item.key);
  const isLarge = map.box.name === "large";
  const isOther = state.only !== null && !concerns(item, state.only);
  made.setAttribute("class", `node ${looks}${state.chosen?.node === item.key ? " chosen" : ""}${isOther ? " other" : ""}`);
  made.setAttribute("aria-label", whole);
  made.style.transform = `translate(${place.x}px, ${place.y}px)`;
  title.textContent = whole;
  rect.setAttribute("x", -width / 2);
  rect.setAttribute("y", -height / 2);
  rect.setAttribute("width", width);
  rect.setAttribute("height", height);
  rect.setAttribute("rx", item.server ? height / 2 : 6);
  name.textContent = label;
  name.setAttribute("y", isLarge ? -2 : 4);
  sub.textContent = isLarge ? below : "";
  sub.setAttribute("y", 13);
}

function concerns({ node, server }, content) {
  if (server) return server.serves.includes(content);
  return (node.streams ?? []).some((stream) => stream.content === content);
}

function leaves() {
  const found = [];
  for (const node of state.nodes.values()) {
    const watched = (node.streams ?? []).filter(
      (stream) => stream.viewers && (state.only === null || stream.content === state.only),
    );
    const drawn = watched.length > MOST_LEAVES ? watched.slice(0, MOST_LEAVES - 1) : watched;
    const rest = watched.slice(drawn.length);
    const chips = drawn.map((stream) => ({ content: stream.content, viewers: stream.viewers }));
    if (rest.length) chips.push({ content: null, viewers: rest.reduce((sum, each) => sum + each.viewers, 0) });
    chips.forEach((chip, index) => found.push({ ...chip, node: node.name, key: `${node.name}\n${index}`, index }));
  }
  return found;
}

function makeLeaf() {
  return element(
    "g", {}, element("title"), element("path", { class: "line" }), element("circle", { class: "dot", r: LEAF }),
    element("text"),
  );
}

function showLeaf(made, leaf) {
  const { x, y } = map.places.get(leaf.node);
  const { width, height } = map.box;
  const at = { x: x + width / 2 - LEAF - leaf.index * (2 * LEAF + 2), y: y + height / 2 + STALK + LEAF };
  const [title, line, dot, text] = made.children;
  made.setAttribute("class", `leaf ${leaf.content === null ? "faint" : styleOf(leaf.content)}`);
  title.textContent = `${count(leaf.viewers, "viewer")} of ${leaf.content ?? "other contents"} at ${leaf.node}`;
  line.setAttribute("d", `M${at.x} ${y + height / 2} V${at.y - LEAF}`);
  dot.setAttribute("cx", at.x);
  dot.setAttribute("cy", at.y);
  text.textContent = leaf.viewers > 999 ? "999+" : leaf.viewers;
  text.setAttribute("x", at.x);
  text.setAttribute("y", at.y + 3.5);
}

// Links

function linkItems() {
  const linked = new Set(state.links.map((pair) => pair.join("\n")));
  const beyond = [];
  for (const node of state.nodes.values()) {
    for (const other of node.beyond ?? []) {
      const pair = [node.name, other].sort();
      if (!linked.has(pair.join("\n"))) beyond.push({ pair, beyond: true });
    }
  }
  return [...state.links.map((pair) => ({ pair })), ...beyond]
    .filter(({ pair }) => pair.every((name) => map.places.has(name)));
}

function showLink(made, { pair, beyond }) {
  const { start, middle, end } = route(map.places.get(pair[0]), map.places.get(pair[1]), map.box, 0);
  made.setAttribute("class", `link${beyond ? " beyond" : ""}`);
  made.setAttribute("d", `M${start.x} ${start.y} Q${middle.x} ${middle.y} ${end.x} ${end.y}`);
}

// The whole map

function place() {
  const svg = byId("map");
  const names = [...state.nodes.keys()];
  document.querySelector("main").classList.toggle("crowded", names.length > CROWDED);
  const { clientWidth: width } = svg;
  const aspect = width < NARROW ? 0.5 : 1.7;
  map = arrange(names, state.links, state.rendezvous, state.servers.map((each) => `server ${each.address}`), aspect);
  svg.classList.toggle("small", map.box.name === "small");
  const scale = Math.min(width / map.bounds.width, LARGEST_SCALE);
  svg.style.height = `${Math.max(LEAST_HEIGHT, Math.min(map.bounds.height * scale, innerHeight * 0.85))}px`;
  state.view = null;
  frame();
}

function frame() {
  const svg = byId("map");
  const { x, y, width, height } = state.view ?? map.bounds;
  svg.setAttribute("viewBox", `${x} ${y} ${width} ${height}`);
  svg.classList.toggle("zoomed", state.view !== null);
}

function draw() {
  if (!map) return;
  const trees = edges();
  const labelled = trees.length <= LABELLED && map.box.name !== "small";
  keyed(groups.links, linkItems(), ({ pair }) => pair.join("\n"), () => element("path"), showLink);
  keyed(groups.trees, trees, (edge) => edge.key, makeEdge, showEdge);
  const labels = labelled ? trees.filter((edge) => edge.parent.primary) : [];
  keyed(groups.labels, labels, (edge) => edge.key, () => element("text"), showLabel);
  keyed(groups.leaves, leaves(), (leaf) => leaf.key, makeLeaf, showLeaf);
  keyed(groups.boxes, boxes(), (item) => item.key, makeBox, showBox);
}

function zoom(factor, at) {
  const { x, y, width, height } = state.view ?? map.bounds;
  const centre = at ?? { x: x + width / 2, y: y + height / 2 };
  if (!factor || width * factor > map.bounds.width * 1.2) state.view = null;
  else {
    state.view = {
      x: centre.x - (centre.x - x) * factor, y: centre.y - (centre.y - y) * factor,
      width: width * factor, height: height * factor,
    };
  }
  frame();
}

function onDrag(svg) {
  let from = null;
  svg.addEventListener("pointerdown", (event) => { if (state.view) from = { x: event.clientX, y: event.clientY }; });
  svg.addEventListener("pointermove", (event) => {
    if (!from || !state.view) return;
    const scale = Math.max(state.view.width / svg.clientWidth, state.view.height / svg.clientHeight);
    state.view.x -= (event.clientX - from.x) * scale;
    state.view.y -= (event.clientY - from.y) * scale;
    from = { x: event.clientX, y: event.clientY };
    frame();
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) svg.addEventListener(end, () => { from = null; });
  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !state.view) return; // else the page could not be scrolled
    event.preventDefault();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    zoom(event.deltaY > 0 ? 1.15 : 0.87, point);
  }, { passive: false });
}

// Beside the map

function summary() {
  const nodes = [...state.nodes.values()];
  const down = nodes.filter((node) => !node.up).length;
  const viewers = state.contents.reduce((sum, content) => sum + content.viewers, 0);
  const cut = state.contents.filter((content) => content.cut_nodes).length;
  const parts = [
    `${count(nodes.length - down, "node")} up${down ? `, ${down} down` : ""}`,
    count(state.servers.length, "server"), `${count(state.contents.length, "content")} streaming`, count(viewers, "viewer"),
  ];
  if (cut) parts.push(`${count(cut, "content")} cut off somewhere`);
  say(parts.join(" · "));
}

function say(text) {
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
}

function sample(content) {
  const line = element("path", { class: "line", d: "M1 6 H34", stroke: "currentColor", "stroke-width": 3 });
  return element("svg", { viewBox: "0 0 35 12", class: styleOf(content), "aria-hidden": "true" }, line);
}

function filters() {
  if (state.only !== null && !state.contents.some((content) => content.name === state.only)) state.only = null;
  keyed(byId("filter"), state.contents, (content) => content.name, (content) => {
    const button = html("button", "", styleOf(content.name));
    button.type = "button";
    button.append(sample(content.name), html("span"));
    button.addEventListener("click", () => {
      state.only = state.only === content.name ? null : content.name;
      show();
    });
    return button;
  }, (button, content) => {
    button.lastChild.textContent = `${content.name} · ${count(content.viewers, "viewer")}`;
    button.title = `Show ${content.name} alone`;
    button.setAttribute("aria-pressed", String(state.only === content.name));
  });
}

function table(id, columns, rows) {
  const found = document.querySelector(`#${id} table`);
  const head = html("tr");
  for (const [title, kind] of columns) head.append(html("th", title, kind));
  const body = rows.map((cells) => {
    const row = html("tr");
    cells.forEach((cell, index) => {
      const made = html("td", cell, columns[index][1]);
      if (columns[index][1] === "name") made.title = cell;
      row.append(made);
    });
    return row;
  });
  found.replaceChildren(head, ...body);
  byId(id).hidden = !rows.length;
}

function tables() {
  table("contents", [
    ["content", "name"], ["server", "name"], ["rate", "number"], ["viewers", "number"], ["nodes", "number"],
    ["cut off", "number"], ["depth", "number"],
  ], state.contents.map((each) => [
    each.name, each.server ?? "–", mbit(each.bit_rate), each.viewers, each.nodes, each.cut_nodes, each.depth,
  ]));
  const more = state.unwatched.length - UNWATCHED_SHOWN;
  const names = state.unwatched.slice(0, UNWATCHED_SHOWN).join(", ");
  byId("unwatched").textContent = `Nobody watches: ${names}${more > 0 ? ` and ${more} more` : ""}`;
  byId("unwatched").hidden = !names;
  byId("contents").hidden = !names && !state.contents.length;
  table("servers", [
    ["server", "name"], ["delay", "number"], ["latency", "number"], ["jitter", "number"], ["metric", "number"],
    ["serves", "name"],
  ], state.servers.map((each) => each.up ? [
    each.address, ms(each.delay_us / 1000), ms(each.latency_us / 1000), ms(each.jitter_us / 1000), each.metric,
    each.serves.join(", ") || "nothing now",
  ] : [each.address, "–", "–", "–", "–", "does not answer"]));
  const nodes = [...state.nodes.values()].sort((one, other) => byName(one.name, other.name));
  table("nodes", [
    ["node", "name"], ["kind", ""], ["CPU", "number"], ["memory", "number"], ["children", "number"], ["viewers", "number"],
    ["streams", "number"], ["up for", "number"], ["version", ""], ["address", "name"],
  ], nodes.map((node) => node.up ? [
    node.name, node.kind, `${node.cpu_percent.toFixed(1)} %`, megabytes(node.memory_bytes), node.children, node.viewers,
    node.streams.length, duration(node.uptime_s), node.program ?? "–", node.address,
  ] : [node.name, node.kind, "–", "–", "–", "–", "–", "down", "–", node.address]));
}

function figures(pairs) {
  const list = html("dl", "", "figures");
  for (const [name, value] of pairs) list.append(html("dt", name), html("dd", value));
  return list;
}

function choose(chosen) {
  state.chosen = chosen;
  details();
  if (chosen && innerWidth < NARROW) byId("details").scrollIntoView({ block: "nearest" });
  draw();
}

function details() {
  const { node, edge } = state.chosen ?? {};
  const found = node ? ofNode(node) : edge ? ofEdge(edge) : null;
  byId("details").hidden = !found;
  if (!found) return;
  document.querySelector("#details h2").textContent = found[0];
  document.querySelector("#details .body").replaceChildren(...found[1]);
}

function ofNode(key) {
  const server = state.servers.find((each) => `server ${each.address}` === key);
  if (server) {
    return [`Server ${server.address}`, [figures([
      ["delay", ms(server.up ? server.delay_us / 1000 : null)], ["latency", ms(server.up ? server.latency_us / 1000 : null)],
      ["jitter", ms(server.up ? server.jitter_us / 1000 : null)], ["metric", server.metric ?? "–"],
      ["serves", server.serves.join(", ") || "nothing now"],
    ])]];
  }
  const node = state.nodes.get(key);
  if (!node) return null;
  if (!node.up) return [node.name, [html("p", `${node.address}: it is down.`)]];
  const streams = node.streams.filter((stream) => state.only === null || stream.content === state.only);
  return [node.name, [
    figures([
      ["kind", node.kind], ["address", node.address], ["version", node.program ?? "–"], ["up for", duration(node.uptime_s)],
      ["CPU", `${node.cpu_percent.toFixed(1)} %`], ["memory", megabytes(node.memory_bytes)], ["children", node.children],
    ]),
    ...streams.flatMap(ofStream),
  ]];
}

// A child's delay from the server: by clocks where they make sense, else by round trips.
function delayOf(child) {
  if (child.clock_delay_ms !== null) return ` ${ms(child.clock_delay_ms)} by clocks`;
  return child.delay_ms === null ? "" : ` ${ms(child.delay_ms)}`;
}

function ofStream(stream) {
  const told = stream.children.slice(0, 30).map((child) =>
    `${child.name}${delayOf(child)}`);
  if (stream.child_count > told.length) told.push(`and ${stream.child_count - told.length} more`);
  const parents = parentsOf(stream).map((each) => `${each.name}, round trip ${ms(each.round_trip_ms)}`);
  return [html("h3", stream.content, styleOf(stream.content)), figures([
    ["path", stream.path.join(" › ")], ["from", parents.join("; ") || "–"], ["rate", mbit(stream.bit_rate)],
    ["delay", `${ms(stream.delay_ms)} by round trips, ${ms(stream.clock_delay_ms)} by clocks`],
    ["lost", `${percent(stream.lost_before_repair_percent)} before repair, ${percent(stream.lost_percent)} after`],
    ["so far", `${stream.received_datagrams} datagrams, ${stream.repaired_datagrams} repaired, ${stream.missing_datagrams} missing`],
    ["healing", `${stream.parent_changes} parent changes, ${stream.nack_sent} NACKs, longest gap ${ms(stream.longest_gap_ms)}, `
      + `${stream.discontinuities} discontinuities`],
    ["feeds", told.join(", ") || "nobody"],
  ])];
}

function ofEdge(key) {
  const edge = map && edges().find((each) => each.key === key);
  if (!edge) return null;
  const { stream, parent } = edge;
  return [`${edge.from} → ${edge.to}`, [
    html("h3", stream.content, styleOf(stream.content)),
    figures([
      ["rate", mbit(stream.bit_rate)], ["round trip", ms(parent.round_trip_ms)],
      ["lost", `${percent(stream.lost_before_repair_percent)} before repair, ${percent(stream.lost_percent)} after`],
      ["parent", parent.primary ? "its path counts" : "a second one"], ["path", stream.path.join(" › ")],
    ]),
  ]];
}

// Events

function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour12: false });
}

function eventItem(event) {
  const [sign, tone] = SIGNS[event.event] ?? ["·", ""];
  const item = html("li");
  const time = html("time", clock(event.time));
  time.dateTime = event.time;
  const mark = html("span", sign, `sign ${tone}`);
  mark.setAttribute("aria-hidden", "true");
  item.append(time, mark, html("b", `${event.node ?? "bootstrap"} `), html("span", event.text));
  item.title = event.event;
  return item;
}

function showEvents() {
  const wanted = state.happened.list.filter((event) =>
    !MINOR.has(event.event) && (state.only === null || event.content === null || event.content === state.only));
  keyed(byId("events"), wanted.slice(-EVENTS_SHOWN).reverse(), (event) => String(event.order), eventItem, () => {});
  const list = byId("events");
  // New ones are put first: keyed() appends.
  [...list.children].sort((one, other) => other.dataset.key - one.dataset.key).forEach((item) => list.append(item));
}

function happened(events) {
  state.happened.add(events);
  showEvents();
}

// What comes

function show() {
  filters();
  summary();
  draw();
  tables();
  details();
  showEvents();
}

function takeOverlay(told) {
  state.nodes = new Map(told.nodes.map((node) => [node.name, node]));
  const { links, rendezvous, servers, contents, unwatched } = told;
  Object.assign(state, { links, rendezvous, servers, contents, unwatched });
  for (const content of told.contents) styleOf(content.name);
  place();
  show();
}

function takeChanges(told) {
  for (const node of told.nodes) state.nodes.set(node.name, node);
  const before = state.servers.map((each) => each.address).join();
  const { servers, contents, unwatched = state.unwatched } = told;
  Object.assign(state, { servers, contents, unwatched });
  if (before !== state.servers.map((each) => each.address).join()) place();
  pending ||= setTimeout(() => { // what comes together is drawn together
    pending = 0;
    show();
  }, map?.box.name === "small" ? DRAW_LARGE_MS : DRAW_MS);
}

let pending = 0;

// The page's own URL may hold a key (http://any:KEY@HOST/), and fetch() takes no URL with one.
const at = (path) => new URL(path, location.origin);

async function earlier() {
  const answer = await fetch(at(`/api/events?since=${state.happened.last}`));
  const told = answer.ok ? await answer.json() : null;
  if (told && state.happened.isOf(told.epoch)) happened(told.events);
}

function listen() {
  const source = new EventSource(at("/api/stream"));
  source.addEventListener("overlay", (event) => {
    const told = JSON.parse(event.data);
    state.happened.begin(told.epoch);
    takeOverlay(told);
    earlier();
  });
  source.addEventListener("changes", (event) => takeChanges(JSON.parse(event.data)));
  source.addEventListener("happened", (event) => happened([JSON.parse(event.data)]));
  source.addEventListener("missed", () => {
    source.close();
    listen();
  });
  source.addEventListener("error", () => {
    say("The bootstrapper does not answer; streams go on without it. Trying again …");
    // An answer that is no stream (a proxy's 502, our own 503) ends a source for good.
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

byId("close").addEventListener("click", () => choose(null));
for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => { if (map) zoom(Number(button.dataset.zoom)); });
}
onDrag(byId("map"));
let drawnFor = innerWidth;
addEventListener("resize", () => {
  if (!map || innerWidth === drawnFor) return; // a phone hides its address bar: nothing is to move
  drawnFor = innerWidth;
  place();
  draw();
});
listen();
