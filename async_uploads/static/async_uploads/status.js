// Live state of uploads: one WebSocket per page, with plain HTTP wherever there is none.

import { fetchStatus, UploadError } from "./transfer.js";

/** @typedef {import("./transfer.js").UploadStatus} UploadStatus */
/** @typedef {{type: "error", code: string, key: string}} UploadMissing */
/** @typedef {(event: UploadStatus | UploadMissing) => void} StatusCallback */

/**
 * @typedef {object} Watched
 * @property {Set<StatusCallback>} callbacks
 * @property {UploadStatus | UploadMissing | null} last
 * @property {number} askAt when to ask over HTTP next, in ms of `performance.now()`
 */

const CHANGING = 3000; // ms between two questions about an upload that is under way
const RESTING = 60_000; // ms between two about one that waits for its form
const SOCKET_HEAD_START = 1000; // ms
const FIRST_DELAY = 500; // ms
const LONGEST_DELAY = 30_000; // ms
const REPORT_INTERVAL = 250; // ms
const KEYS_PER_MESSAGE = 100;

/** @param {Watched} watched */
function isOver({ last }) {
  if (!last) return false;
  return last.type === "error" || ["promoted", "failed", "cancelled", "expired"].includes(last.state);
}

/** @param {Watched} watched */
function pauseBeforeAsking({ last }) {
  return last?.type === "status" && last.state === "uploaded" ? RESTING : CHANGING;
}

export class UploadWatcher {
  /** @type {Map<string, Watched>} */ #watched = new Map();
  /** @type {Map<string, number>} */ #reportedAt = new Map();
  /** @type {Set<string>} */ #unsent = new Set();
  /** @type {WebSocket | null} */ #socket = null;
  #failures = 0;
  #waitUntil = 0; // in ms of `performance.now()`; outlives the uploads watched, as does #failures
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #reconnecting;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #asking;

  /** @param {{socketUrl: string | null, statusUrl: string}} urls */
  constructor({ socketUrl, statusUrl }) {
    this.socketUrl = socketUrl;
    this.statusUrl = statusUrl;
    addEventListener("online", () => this.#connect());
    // An open socket would keep the page out of the browser's back/forward cache.
    addEventListener("pagehide", () => this.#disconnect());
    addEventListener("pageshow", () => this.#connect());
  }

  /**
   * Calls back with the present state of an upload, then with each change.
   * @param {string} key
   * @param {StatusCallback} callback
   * @returns {() => void} unsubscribe
   */
  subscribe(key, callback) {
    const watched = this.#watched.get(key) ?? this.#watch(key);
    watched.callbacks.add(callback);
    const { last } = watched;
    if (last) queueMicrotask(() => watched.callbacks.has(callback) && callback(last));
    return () => {
      watched.callbacks.delete(callback);
      if (watched.callbacks.size === 0 && this.#watched.get(key) === watched) this.#unwatch(key);
    };
  }

  /**
   * Asks for the present state over HTTP, now.
   * @param {string} key
   */
  async refresh(key) {
    const watched = this.#watched.get(key);
    if (watched) watched.askAt = performance.now() + pauseBeforeAsking(watched);
    try {
      this.#receive(await fetchStatus(this.statusUrl, key));
    } catch (error) {
      if (error instanceof UploadError && error.code === "not_found") {
        this.#receive({ type: "error", code: "not_found", key });
      }
    }
  }

  /**
   * Tells the owner's other watchers about bytes that the server does not see, because they go straight to storage.
   * @param {string} key
   * @param {number} received bytes
   * @param {number} total bytes
   */
  report(key, received, total) {
    const now = performance.now();
    if (received < total && now - (this.#reportedAt.get(key) ?? -Infinity) < REPORT_INTERVAL) return;
    this.#reportedAt.set(key, now);
    this.#send({ action: "progress", key, received, total });
  }

  get #isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** @param {string} key */
  #watch(key) {
    const headStart = this.socketUrl && !this.#isOpen ? SOCKET_HEAD_START : 0;
    /** @type {Watched} */
    const watched = { callbacks: new Set(), last: null, askAt: performance.now() + headStart };
    this.#watched.set(key, watched);
    this.#asking ??= setInterval(() => this.#askOverHttp(), SOCKET_HEAD_START);
    if (!this.socketUrl) this.refresh(key);
    else if (this.#isOpen) this.#subscribeSoon(key);
    else this.#connectInTime();
    return watched;
  }

  /** @param {string} key */
  #unwatch(key) {
    this.#watched.delete(key);
    this.#reportedAt.delete(key);
    if (!this.#unsent.delete(key)) this.#send({ action: "unsubscribe", keys: [key] });
    if (this.#watched.size > 0) return;
    clearInterval(this.#asking);
    this.#asking = undefined;
    this.#disconnect();
  }

  /** No sooner than the failures before allow. */
  #connectInTime() {
    const pause = this.#waitUntil - performance.now();
    if (pause <= 0) this.#connect();
    else this.#reconnecting ??= setTimeout(() => this.#connect(), pause);
  }

  #connect() {
    this.#stopReconnecting();
    if (!this.socketUrl || this.#socket || this.#watched.size === 0) return;
    const url = new URL(this.socketUrl, location.href);
    url.protocol = url.protocol.replace(/^http/, "ws");
    const socket = new WebSocket(url);
    let wasOpen = false;
    this.#socket = socket;
    socket.addEventListener("open", () => {
      wasOpen = true;
    });
    socket.onopen = () => {
      for (const key of this.#watched.keys()) this.#subscribeSoon(key);
    };
    socket.onmessage = ({ data }) => {
      // Not in onopen: a server may accept a socket only to close it again.
      this.#failures = 0;
      this.#waitUntil = 0;
      this.#receive(JSON.parse(data));
    };
    socket.onclose = () => {
      const isWanted = this.#socket === socket;
      if (isWanted) this.#socket = null;
      if (isWanted || !wasOpen) this.#backOff();
      if (isWanted) this.#connectInTime();
    };
  }

  #disconnect() {
    this.#stopReconnecting();
    const socket = this.#socket;
    this.#socket = null;
    this.#unsent.clear();
    if (socket?.readyState !== WebSocket.CONNECTING) socket?.close();
    else socket.onopen = () => socket.close(); // closed any sooner, it would count as failed on the console
  }

  #stopReconnecting() {
    clearTimeout(this.#reconnecting);
    this.#reconnecting = undefined;
  }

  #backOff() {
    const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures);
    this.#failures += 1;
    // Jitter, so that a restarted server is not met by everyone at once.
    this.#waitUntil = performance.now() + longest * (0.5 + Math.random() / 2);
  }

  /**
   * Gathers the keys of one turn of the event loop into one message.
   * @param {string} key
   */
  #subscribeSoon(key) {
    if (this.#unsent.size === 0) queueMicrotask(() => this.#sendSubscriptions());
    this.#unsent.add(key);
  }

  #sendSubscriptions() {
    const keys = [...this.#unsent];
    this.#unsent.clear();
    for (let start = 0; start < keys.length; start += KEYS_PER_MESSAGE) {
      this.#send({ action: "subscribe", keys: keys.slice(start, start + KEYS_PER_MESSAGE) });
    }
  }

  /** @param {object} message */
  #send(message) {
    if (this.#isOpen) this.#socket?.send(JSON.stringify(message));
  }

  #askOverHttp() {
    if (this.#isOpen || document.visibilityState === "hidden") return;
    const now = performance.now();
    for (const [key, watched] of this.#watched) {
      if (!isOver(watched) && watched.askAt <= now) this.refresh(key);
    }
  }

  /** @param {UploadStatus | UploadMissing} event */
  #receive(event) {
    const watched = this.#watched.get(event.key);
    if (!watched) return;
    if (event.type === "status" && watched.last?.type === "status" && event.seq <= watched.last.seq) return;
    watched.last = event;
    for (const callback of [...watched.callbacks]) callback(event);
  }
}

/** @type {Map<string, UploadWatcher>} */
const watchers = new Map();

/**
 * The page's watcher for these URLs: everyone who asks shares one socket.
 * @param {{socketUrl?: string | null, statusUrl: string}} urls
 */
export function watchUploads({ socketUrl = null, statusUrl }) {
  const id = JSON.stringify([socketUrl, statusUrl]);
  const watcher = watchers.get(id) ?? new UploadWatcher({ socketUrl, statusUrl });
  watchers.set(id, watcher);
  return watcher;
}

/**
 * Tells the visitor's other tabs about a new upload.
 * @param {{key: string, name: string}} upload
 */
export function announceUpload({ key, name }) {
  const channel = new BroadcastChannel("async-uploads");
  channel.postMessage({ key, name });
  channel.close();
}
