// <async-file-formset>: many files at once, and for each a row of the formset with a field that uploads it.

import { describeTypes } from "./checks.js";
import { formatSize } from "./format.js";
import { FormsetRows } from "./formset-rows.js";
import { ManyFilesView } from "./many-files-view.js";
import { fillIn, isolate, readMessages } from "./messages.js";

const AT_ONCE = 6; // uploads: browsers open no more connections to a host, and a ticket that waits grows old

/** @param {DataTransfer | null} transfer */
function carriesFiles(transfer) {
  return transfer?.types.includes("Files") ?? false;
}

/**
 * @param {DataTransfer | null} transfer
 * @returns {File[]} without folders
 */
function filesOf(transfer) {
  return [...(transfer?.items ?? [])]
    .filter((item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile())
    .filter((file) => file !== null);
}

/**
 * Around the management form, an element `data-rows` that holds the rows, and a `<template>` with the empty form. Its
 * words are in `data-browse`, `-drop`, `-waiting`, `-added`, `-full` and `-left-out`.
 */
export class AsyncFileFormset extends HTMLElement {
  /** @type {File[]} */ #queue = [];
  /** @type {FormsetRows | null} */ #rows = null;
  /** @type {ManyFilesView | null} */ #view = null;
  #observer = new MutationObserver(() => this.#goOn());

  connectedCallback() {
    // The rows are asked what they hold, so their fields have to be at work first.
    customElements.whenDefined("async-file-input").then(() => {
      if (!this.isConnected) return;
      if (!this.#rows) this.#enhance();
      if (!this.#rows) return;
      this.#observer.observe(this.#rows.container, { subtree: true, attributeFilter: ["data-state"] });
      this.#goOn();
    });
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#observer.disconnect();
      this.#queue = [];
    });
  }

  get messages() {
    return readMessages(this.#rows?.model?.getAttribute("messages") ?? null);
  }

  /**
   * Uploads each file in a row of its own, as far as there is room.
   * @param {Iterable<File>} chosen a FileList, say
   */
  add(chosen) {
    const files = [...chosen];
    if (!this.#rows || !this.#view || this.#view.isDisabled || files.length === 0) return;
    const room = Math.max(this.#rows.room - this.#queue.length, 0);
    const taken = files.slice(0, room);
    this.#queue.push(...taken);
    this.#view.announce(
      taken.length === files.length
        ? this.#say("added", { count: taken.length })
        : this.#say("leftOut", { count: files.length - taken.length, max: this.#rows.max }),
    );
    this.#goOn();
  }

  #enhance() {
    const rows = FormsetRows.of(this);
    if (!rows) return;
    this.#rows = rows;
    this.#view = new ManyFilesView({
      browse: this.dataset.browse ?? "Choose files",
      drop: this.dataset.drop ?? "or drop them here",
      hint: this.#describeLimits(rows),
      cancel: this.messages.cancel,
      accept: rows.accept,
      onFiles: (files) => this.add(files),
      onCancel: () => {
        this.#queue = [];
        this.#goOn();
      },
    });
    rows.container.before(this.#view.root);
    this.#takeDrops();
    this.addEventListener("change", () => this.#goOn()); // a row that is ticked off makes room
  }

  /**
   * Hands waiting files to rows, and hides the rows that wait for one. While a file waits here, others are on their
   * way: their rows keep the form from being sent.
   */
  #goOn() {
    const rows = this.#rows;
    if (!rows) return;
    while (this.#queue.length > 0 && rows.busyCount < AT_ONCE) {
      const file = /** @type {File} */ (this.#queue.shift());
      rows.take(file);
    }
    const isFull = rows.room <= this.#queue.length;
    const focused = document.activeElement;
    for (const row of rows.spare) row.hidden = true;
    const waiting = this.#queue.length;
    this.#view?.render({
      isFull,
      note: isFull && !waiting ? this.#say("full", { max: rows.max }) : "",
      waiting: waiting ? this.#say("waiting", { count: waiting }) : "",
    });
    if (focused?.closest("[hidden]") && this.contains(focused)) this.#view?.focus();
  }

  #takeDrops() {
    this.addEventListener("dragenter", (event) => this.#welcome(event));
    this.addEventListener("dragover", (event) => this.#welcome(event));
    this.addEventListener("dragleave", (event) => {
      if (event.relatedTarget instanceof Node && this.contains(event.relatedTarget)) return;
      this.#view?.showDragging(false);
    });
    this.addEventListener("drop", (event) => {
      this.#view?.showDragging(false);
      if (!carriesFiles(event.dataTransfer)) return;
      const files = filesOf(event.dataTransfer);
      // A row that the files were dropped on has taken the first one.
      const left = event.defaultPrevented ? files.slice(1) : files;
      event.preventDefault();
      this.add(left);
    });
  }

  /** @param {DragEvent} event */
  #welcome(event) {
    const { dataTransfer, target } = event;
    if (!dataTransfer || !carriesFiles(dataTransfer) || !this.#view || this.#view.isDisabled) return;
    const isOverRow = target instanceof Element && target.closest("async-file-input") !== null;
    this.#view.showDragging(!isOverRow);
    event.preventDefault();
    dataTransfer.dropEffect = "copy";
  }

  /** @param {FormsetRows} rows */
  #describeLimits(rows) {
    const types = describeTypes(rows.accept);
    const maxSize = Number(rows.model?.getAttribute("max-size")) || 0;
    return [
      types && isolate(types),
      maxSize ? fillIn(this.messages.hint, { limit: formatSize(maxSize) }) : "",
    ]
      .filter(Boolean)
      .join(" · ");
  }

  /**
   * @param {"added" | "leftOut" | "full" | "waiting"} words
   * @param {Record<string, number>} numbers
   */
  #say(words, numbers) {
    const english = {
      added: "Files added: {count}",
      leftOut: "Files left out: {count}. No more than {max} fit here.",
      full: "No more than {max} files fit here.",
      waiting: "Files waiting: {count}",
    };
    const shown = Object.entries(numbers).map(([name, number]) => [name, number.toLocaleString()]);
    return fillIn(this.dataset[words] ?? english[words], Object.fromEntries(shown));
  }
}

if (!customElements.get("async-file-formset")) customElements.define("async-file-formset", AsyncFileFormset);
