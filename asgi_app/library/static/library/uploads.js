// Keeps the list of uploads alive. The server renders rows and words; this script moves the bars,
// and asks for a fresh list when an upload begins or changes its state.

import { watchUploads } from "../async_uploads/status.js";

const REFRESH_EVERY = 30_000; // For what no message tells: uploads begun on another device, "3 minutes ago".

const list = document.getElementById("uploads");
const watcher = watchUploads({ socketUrl: list.dataset.socketUrl, statusUrl: list.dataset.statusUrl });
const watched = new Map(); // key → unsubscribe

function rowOf(key) {
  return list.querySelector(`[data-key="${CSS.escape(key)}"]`);
}

function show(status) {
  const row = rowOf(status.key);
  if (!row || status.type !== "status") return;
  if (row.dataset.state !== status.state) {
    refresh();
    return;
  }
  // Of bytes that go straight to S3 or Azure, the server only hears: its state is "pending" until they have arrived.
  if (status.state === "pending" && status.received > 0) {
    row.querySelector(".state").textContent = list.dataset.uploading;
  }
  const bar = row.querySelector("progress");
  if (status.total) bar.max = status.total;
  bar.value = status.received;
}

function watchRows() {
  const keys = new Set([...list.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
  for (const key of keys) {
    if (!watched.has(key)) watched.set(key, watcher.subscribe(key, show));
  }
  for (const [key, unsubscribe] of watched) {
    if (keys.has(key)) continue;
    unsubscribe();
    watched.delete(key);
  }
}

let refreshing = null;
let again = false;

/** One request at a time; what is asked for meanwhile is one more request after it. */
function refresh() {
  again = refreshing !== null;
  refreshing ??= fetchList().finally(() => {
    refreshing = null;
    if (again) refresh();
  });
}

async function fetchList() {
  const response = await fetch(list.dataset.listUrl).catch(() => null);
  if (!response?.ok) return; // The server is away; the next change or the timer asks again.
  const html = await response.text();
  const focused = document.activeElement?.closest("#uploads [data-key]")?.dataset.key;
  list.innerHTML = html;
  if (focused) rowOf(focused)?.querySelector("a")?.focus();
  watchRows();
}

watchRows();
new BroadcastChannel("async-uploads").addEventListener("message", refresh);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || refresh(), REFRESH_EVERY);
