// Where everything stands on the map: in layers by the distance from the rendezvous point, servers first.
// It depends on nodes and links alone, so that a tree that changes moves nothing. Pure.

const SIZES = [
  { name: "large", most: 24, width: 112, height: 44, along: 150, across: 46 },
  { name: "medium", most: 90, width: 84, height: 28, along: 62, across: 32 },
  { name: "small", most: Infinity, width: 60, height: 20, along: 44, across: 28 },
];
const SWEEPS = 6;
const MARGIN = 12;
const LEAF = 24; // below a box: its viewers

const byName = new Intl.Collator(undefined, { numeric: true }).compare;

// Return {places: name -> {x, y}, box, vertical, bounds}. `aspect` is width by height of what there is to draw on.
export function arrange(names, links, rendezvous, servers, aspect) {
  const around = neighbours(names, links);
  const layers = layered(names, around, rendezvous);
  order(layers, around);
  if (servers.length) layers.unshift([...servers]);
  const box = SIZES.find((size) => names.length + servers.length <= size.most);
  const vertical = aspect < 0.9;
  const pitch = vertical
    ? { along: box.height + Math.max(box.along * 0.6, 46), across: box.width + box.across }
    : { along: box.width + box.along, across: box.height + box.across };
  const lines = layers.flatMap((layer) => folded(layer, longestLine(layers, pitch, vertical ? 1 / aspect : aspect)));
  const places = new Map();
  lines.forEach((line, row) => line.forEach((name, column) => {
    const along = row * pitch.along;
    const across = (column - (line.length - 1) / 2) * pitch.across;
    places.set(name, vertical ? { x: across, y: along } : { x: along, y: across });
  }));
  return { places, box, vertical, bounds: bounds(places, box) };
}

function neighbours(names, links) {
  const around = new Map(names.map((name) => [name, []]));
  for (const [one, other] of links) {
    around.get(one)?.push(other);
    around.get(other)?.push(one);
  }
  return around;
}

// Breadth first from the rendezvous points that the layout links to nobody before; who is not reached comes last.
function layered(names, around, rendezvous) {
  const first = rendezvous.filter((name) => around.has(name)).slice(0, 1);
  const seen = new Set(first);
  const layers = [];
  for (let layer = first; layer.length;) {
    layers.push(layer);
    const next = [];
    for (const name of layer) {
      for (const other of around.get(name)) {
        if (!seen.has(other) && around.has(other)) {
          seen.add(other);
          next.push(other);
        }
      }
    }
    layer = next.sort(byName);
  }
  const rest = names.filter((name) => !seen.has(name)).sort(byName);
  return rest.length ? [...layers, rest] : layers;
}

// Bring neighbours near each other: each node goes to the average of its neighbours in the layer beside.
function order(layers, around) {
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const down = sweep % 2 === 0;
    for (let step = 1; step < layers.length; step += 1) {
      const at = down ? step : layers.length - 1 - step;
      const beside = layers[down ? at - 1 : at + 1];
      const place = new Map(beside.map((name, index) => [name, (index + 0.5) / beside.length]));
      const wish = new Map(layers[at].map((name, index) => {
        const found = around.get(name).filter((other) => place.has(other)).map((other) => place.get(other));
        const mean = found.reduce((sum, each) => sum + each, 0) / found.length;
        return [name, found.length ? mean : (index + 0.5) / layers[at].length];
      }));
      layers[at].sort((one, other) => wish.get(one) - wish.get(other) || byName(one, other));
    }
  }
}

// Return how many nodes a line may have, so that the map is about as wide as what it is drawn on.
function longestLine(layers, pitch, aspect) {
  const longest = Math.max(...layers.map((layer) => layer.length));
  let best = longest;
  let least = Infinity;
  for (let most = 1; most <= longest; most += 1) {
    const lines = layers.reduce((sum, layer) => sum + Math.ceil(layer.length / most), 0);
    const off = Math.abs(Math.log((lines * pitch.along) / (most * pitch.across) / aspect));
    if (off < least) {
      least = off;
      best = most;
    }
  }
  return best;
}

// Lay a layer that is too long in several lines, neighbours still beside each other.
function folded(layer, most) {
  const count = Math.ceil(layer.length / most);
  const lines = Array.from({ length: count }, () => []);
  layer.forEach((name, index) => lines[index % count].push(name));
  return lines;
}

function bounds(places, box) {
  const xs = [...places.values()].map((place) => place.x);
  const ys = [...places.values()].map((place) => place.y);
  const left = Math.min(...xs) - box.width / 2 - MARGIN;
  const top = Math.min(...ys) - box.height / 2 - MARGIN;
  const right = Math.max(...xs) + box.width / 2 + MARGIN;
  const bottom = Math.max(...ys) + box.height / 2 + MARGIN + LEAF;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

// Return the path from one place to another: at a distance to the side, as several contents share a link,
// and bent where it would run through others of the same line.
export function route(from, to, box, side) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const [nx, ny] = [-dy / length, dx / length];
  const bend = Math.abs(dx) < 1 || Math.abs(dy) < 1 ? bulge(length, box) : 0;
  const start = border(from, dx, dy, box, side, nx, ny);
  const end = border(to, -dx, -dy, box, side, nx, ny);
  const middle = {
    x: (start.x + end.x) / 2 + nx * bend,
    y: (start.y + end.y) / 2 + ny * bend,
  };
  return { start, middle, end, angle: Math.atan2(end.y - start.y, end.x - start.x) };
}

function bulge(length, box) {
  const near = 2 * Math.max(box.width, box.height) + 60;
  return length > near ? Math.min(60, length / 6) : 0;
}

function border(place, dx, dy, box, side, nx, ny) {
  const across = Math.abs(dx) * box.height > Math.abs(dy) * box.width;
  const part = across ? box.width / 2 / Math.abs(dx) : box.height / 2 / (Math.abs(dy) || 1);
  return { x: place.x + dx * Math.min(part, 0.5) + nx * side, y: place.y + dy * Math.min(part, 0.5) + ny * side };
}
