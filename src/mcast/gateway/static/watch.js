"use strict";

// The page of the gateway: it asks each two seconds what there is, and shows one card per content.
// All that comes from the overlay is set as text, never as HTML.

const LOOK_MS = 2000;
const PREVIEW_MS = 60000;
const PREVIEW_AGE_S = 60;
const AGAIN_MS = 1000; // until a stream that broke is asked for again: the gateway may just be starting
const STEADY_MS = 3000; // who has played a stream so long can play it: what breaks then is not the browser's fault
const MANY = 8; // contents, from which on a filter is worth its place
const HLS = "application/vnd.apple.mpegurl";
const WORDS = [
  [/hevc|h\.?265/i, "HEVC"],
  [/mpeg-?[12](video)?\b/i, "MPEG-2 video"],
  [/\bmp2\b/i, "MP2 audio"],
  [/e?-?ac-?3/i, "AC-3 audio"],
];

const cards = new Map();
const byId = (id) => document.getElementById(id);

// A URL of this gateway. The page's own may hold a key (http://any:KEY@HOST/), and fetch() takes no URL with one.
const at = (path) => new URL(path, location.origin).href;

function absolute(content, ending) {
  return at(`/${content.url}${ending}`);
}

async function copy(button, text) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    prompt("Copy this URL:", text); // without HTTPS some browsers give a page no clipboard
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

function about(content) {
  const parts = [content.kind];
  if (content.duration_ms) parts.push(clock(content.duration_ms / 1000));
  if (content.width) parts.push(`${content.width}×${content.height}`);
  if (content.frame_rate) parts.push(`${content.frame_rate} frames/s`);
  if (content.bit_rate) parts.push(mbit(content.bit_rate));
  if (content.format && content.format !== content.kind) parts.push(content.format);
  return parts.join(" · ");
}

function clock(seconds) {
  const whole = Math.round(seconds);
  const minutes = String(Math.floor(whole / 60) % 60).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${minutes}:${String(whole % 60).padStart(2, "0")}`;
}

function mbit(rate) {
  return `${(rate / 1e6).toFixed(2)} Mbit/s`;
}

function warning(content) {
  const told = content.channel ? content.channel.unplayable : [];
  const words = told.length ? told : WORDS.filter(([sign]) => sign.test(content.format)).map(([, word]) => word);
  return words.length ? `Most browsers cannot play ${words.join(" and ")}: use VLC with the TS URL.` : "";
}

function waiting(content) {
  return content.channel && content.channel.awaited ? `It waits: ${content.channel.awaited}` : "";
}

function figures(channel) {
  return [
    ["path", channel.path.join(" › ")],
    ["bit rate", mbit(channel.bit_rate)],
    ["delay", [
      channel.clock_delay_ms === null ? null : `${channel.clock_delay_ms.toFixed(1)} ms from the server (by clocks)`,
      channel.latency_ms === null ? null : `${Math.round(channel.latency_ms)} ms in the buffer`,
    ].filter((part) => part !== null).join(", ") || "…"],
    ["lost", `${channel.lost_datagrams} datagrams, ${channel.repaired_datagrams} repaired`],
  ];
}

class Card {
  constructor(content) {
    this.root = byId("card").content.firstElementChild.cloneNode(true);
    this.image = this.root.querySelector("img");
    this.screen = this.root.querySelector(".screen");
    this.play = this.root.querySelector(".play");
    this.video = null;
    this.content = content;
    this.root.querySelector("h2").textContent = content.name;
    this.play.setAttribute("aria-label", `Play ${content.name}`);
    this.play.addEventListener("click", () => this.start());
    for (const button of this.root.querySelectorAll("[data-ending]")) {
      button.addEventListener("click", () => copy(button, absolute(this.content, button.dataset.ending)));
    }
    this.image.addEventListener("load", () => { this.image.hidden = false; });
    this.previewed = -Infinity;
    seen.observe(this.root);
  }

  show(content) {
    this.content = content;
    this.root.querySelector(".about").textContent = about(content);
    const text = this.failure || waiting(content) || warning(content);
    const line = this.root.querySelector(".warning");
    line.textContent = text;
    line.hidden = !text;
    const list = this.root.querySelector(".figures");
    list.hidden = !content.channel;
    if (content.channel) {
      list.replaceChildren(...figures(content.channel).flatMap(([name, value]) => {
        const term = document.createElement("dt");
        const told = document.createElement("dd");
        term.textContent = name;
        told.textContent = value;
        return [term, told];
      }));
    }
  }

  preview() {
    const ready = this.content.kind !== "preparing" && this.content.kind !== "failed";
    if (this.video || !ready || performance.now() - this.previewed < PREVIEW_MS) return;
    this.previewed = performance.now();
    this.image.src = `${absolute(this.content, ".jpg")}?age=${PREVIEW_AGE_S}&at=${Date.now()}`;
  }

  start() {
    for (const other of cards.values()) other.stop();
    this.tell("");
    history.replaceState(null, "", `#${this.content.url}`);
    const video = this.video = document.createElement("video");
    video.controls = true;
    video.playsInline = true;
    this.endings = [".mp4", "/index.m3u8"]; // MP4 begins sooner; Apple's browsers want HLS for what has no end
    if (navigator.vendor.startsWith("Apple") && video.canPlayType(HLS)) this.endings.reverse();
    video.addEventListener("playing", () => {
      this.playingSince ??= performance.now();
      this.tell("");
    });
    video.addEventListener("play", () => { this.isPaused = false; });
    video.addEventListener("pause", () => { // a video that fails or ends counts as paused, too
      this.isPaused = this.playingSince !== null && !video.error && !video.ended;
    });
    video.addEventListener("error", () => this.onError(video));
    video.addEventListener("ended", () => this.onEnded(video));
    this.screen.append(video);
    this.play.hidden = true;
    this.root.classList.add("on");
    this.load(video);
    video.focus();
  }

  load(video) {
    if (this.video !== video) return;
    this.playingSince = null;
    this.isPaused = false;
    video.src = absolute(this.content, this.endings[0]);
    video.play().catch(() => {}); // a browser that forbids it shows its own button
  }

  // A video tells neither a cut from a fault of the stream, nor why a URL gives none: the gateway does.
  async onError(video) {
    if (this.video !== video) return;
    const { code, message } = video.error;
    const hasPlayed = this.playingSince !== null && performance.now() - this.playingSince > STEADY_MS;
    const refusal = await refusalOf(video.src);
    if (this.video !== video) return;
    const isUnplayable = code === MediaError.MEDIA_ERR_DECODE || code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED;
    if (refusal ? refusal.retryMs : hasPlayed || !isUnplayable) {
      this.again(video, refusal);
    } else if ((!refusal || refusal.isOfFormat) && this.endings.length > 1) {
      this.endings.shift();
      this.load(video);
    } else {
      this.stop();
      this.tell(refusal ? refusal.text
        : `This browser cannot play it${message ? ` (${message})` : ""}: use VLC with the TS URL.`);
    }
  }

  again(video, refusal) {
    if (refusal) this.tell(`${refusal.text} (trying again …)`);
    if (this.isPaused) { // the viewer has paused it, and so it was cut: it goes on when he does
      video.addEventListener("play", () => this.load(video), { once: true });
    } else setTimeout(() => this.load(video), refusal ? refusal.retryMs : AGAIN_MS);
  }

  // The gateway cuts who is too slow, or was paused for long: for a browser that is the end.
  async onEnded(video) {
    if (this.video !== video) return;
    const isOver = this.content.kind === "file" && !(await isOn(this.content.name));
    if (this.video !== video) return;
    if (isOver) {
      this.stop();
      this.tell("It has ended. A click plays it again.");
    } else this.again(video, null);
  }

  tell(text) {
    this.failure = text;
    this.show(this.content);
  }

  stop() {
    if (!this.video) return;
    const video = this.video;
    this.video = null;
    video.removeAttribute("src");
    video.load(); // else the browser goes on loading
    video.remove();
    this.play.hidden = false;
    this.root.classList.remove("on");
  }
}

// Return why the gateway gives no stream at a URL, null if it does.
async function refusalOf(url) {
  const asking = new AbortController();
  try {
    const answer = await fetch(url, { signal: asking.signal });
    if (answer.ok) return null;
    const seconds = Number(answer.headers.get("Retry-After"));
    return { text: (await answer.text()).trim(), retryMs: seconds * 1000, isOfFormat: answer.status === 501 };
  } catch {
    return { text: "The gateway does not answer: has it ended?", retryMs: LOOK_MS, isOfFormat: false };
  } finally {
    asking.abort(); // the stream itself is not wanted here
  }
}

// Return whether somebody's stream of a content goes on.
async function isOn(name) {
  try {
    const told = await (await fetch(at("/api/contents"))).json();
    return told.contents.some((content) => content.name === name && content.channel);
  } catch {
    return false;
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.classList.toggle("seen", entry.isIntersecting);
  previews();
});

function previews() {
  for (const card of cards.values()) if (card.root.classList.contains("seen")) card.preview();
}

function filter() {
  const wanted = byId("filter").value.toLowerCase();
  for (const [name, card] of cards) card.root.hidden = !name.toLowerCase().includes(wanted);
}

function show(told) {
  const main = byId("contents");
  const names = new Set(told.contents.map((content) => content.name));
  for (const [name, card] of cards) {
    if (!names.has(name) && !card.video) {
      card.root.remove();
      cards.delete(name);
    }
  }
  for (const content of told.contents) {
    if (!cards.has(content.name)) {
      cards.set(content.name, new Card(content));
      main.append(cards.get(content.name).root);
    }
    cards.get(content.name).show(content);
  }
  const count = told.contents.length;
  const words = count === 1 ? "1 content" : `${count} contents`;
  say(`${count ? words : "No contents: no server has any, or none is up"}${told.text ? ` (${told.text})` : ""}`);
  byId("filter").hidden = count < MANY;
  filter();
  playLinked();
}

// A link to /#NAME plays that content, once it is there.
let linked = decoded(location.hash.slice(1));

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // typed as it is: #100%
  }
}

function playLinked() {
  const card = linked && cards.get(linked);
  if (!card) return;
  linked = "";
  card.root.scrollIntoView();
  card.start();
}

function say(text) {
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(at("/api/contents"));
      if (answer.ok) show(await answer.json());
      else say(await answer.text());
      previews();
    } catch {
      say("The gateway does not answer: has it ended?");
    }
  }
  setTimeout(look, LOOK_MS);
}

byId("filter").addEventListener("input", filter);
byId("copy-playlist").addEventListener("click", (event) => {
  copy(event.currentTarget, at("/playlist.m3u"));
});
look();
