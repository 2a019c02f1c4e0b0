// One file field at work: between the inputs that Django rendered, the file, and the view.

import { changedCookie } from "./cookies.js";
import { describeProgress, explain, pictureOfAttempt, pictureOfHolding } from "./pictures.js";
import { FieldFile } from "./field-file.js";
import { percentOf, shortenName } from "./format.js";
import { stopWaiting, update } from "./form-guard.js";
import { fillIn, isolate, readMessages } from "./messages.js";
import { takeOver } from "./plain-input.js";
import { watchUploads } from "./status.js";
import { isTemporary, parseStoredFile } from "./stored-file.js";
import { View } from "./view.js";

/** @typedef {import("./pictures.js").Attempt} Attempt */

const ANNOUNCED_STEP = 25; // percent: a screen reader that reads every one is no help

export class Field {
  #announced = 0;

  /**
   * @param {HTMLElement} host
   * @param {HTMLInputElement} hidden submits the key
   * @param {HTMLInputElement} fileInput picks the file
   */
  constructor(host, hidden, fileInput) {
    this.host = host;
    this.hidden = hidden;
    this.fileInput = fileInput;
    this.messages = readMessages(host.getAttribute("messages"));
    this.wasCleared = takeOver(host, fileInput);
    this.isRequired = fileInput.required || host.hasAttribute("data-required");
    host.toggleAttribute("data-required", this.isRequired);
    this.#nameInput();
    this.file = this.#openFile();
    this.view = new View(host, fileInput, {
      messages: this.messages,
      maxSize: this.limits.maxSize,
      onAction: (action) => this.#act(action),
    });
    this.fileInput.addEventListener("change", () => this.#pick());
    this.render();
  }

  get limits() {
    const { host, fileInput } = this;
    const maxSize = Number(host.getAttribute("max-size")) || null;
    return { accept: fileInput.accept, maxSize, allowEmpty: host.hasAttribute("allow-empty") };
  }

  get isDisabled() {
    return this.fileInput.matches(":disabled");
  }

  get isImage() {
    return this.host.getAttribute("kind") === "image";
  }

  /** Goes on from what was chosen before the script was there. */
  goOn() {
    const { wasCleared } = this;
    this.wasCleared = false;
    if (this.isDisabled) return;
    if (wasCleared) this.file.remove();
    if (wasCleared && this.file.value) this.file.remove(); // behind a new upload there was the record's own file
    this.#pick();
  }

  /** @param {string} [addition] to the words shown */
  render(addition) {
    const picture = this.#picture();
    if (addition) picture.detail = [picture.detail, addition].filter(Boolean).join(" ");
    this.view.render(picture);
    // The browser asks for a file only where none is there or on its way; after a failure, the form guard does.
    this.fileInput.required = this.isRequired && picture.state === "empty";
    this.#fillHidden();
    update();
  }

  /** @param {boolean} isWaiting */
  showWaiting(isWaiting) {
    this.host.toggleAttribute("data-waiting", isWaiting);
    if (isWaiting) this.view.announce(this.messages.submitting);
  }

  showBlocked() {
    this.render(this.messages.submitBlocked);
    this.view.focusError();
  }

  /** For a screen reader, where the page has no label for it: in a table the column's heading is none. */
  #nameInput() {
    const { host, fileInput } = this;
    const label = host.getAttribute("label");
    const isNamed = fileInput.labels?.length || fileInput.matches("[aria-label], [aria-labelledby]");
    if (label && !isNamed) fileInput.setAttribute("aria-label", label);
  }

  /** Leaves an unchanged value as it was rendered, letter for letter. */
  #fillHidden() {
    const { value } = this.file;
    if (!value) this.hidden.value = "";
    else if (value.key !== parseStoredFile(this.hidden.value)?.key) this.hidden.value = JSON.stringify(value);
  }

  #openFile() {
    const initial = parseStoredFile(this.hidden.value);
    const saved = parseStoredFile(this.host.getAttribute("saved"));
    const temporaryPrefix = this.host.getAttribute("temporary-prefix");
    return new FieldFile(
      {
        initial,
        saved: saved ?? (initial && !isTemporary(initial, temporaryPrefix) ? initial : null),
        temporaryPrefix,
        isImage: this.isImage,
        limits: () => this.limits,
        destination: () => this.#destination(),
      },
      {
        onChange: () => this.render(),
        onStart: (attempt) => this.#announceStart(attempt),
        onProgress: (attempt) => this.#showProgress(attempt),
        onDone: (attempt, status) => {
          this.#say("uploaded", attempt.file.name);
          this.#emit("done", attempt, { status });
        },
        onFailed: (attempt, error) => {
          const message = explain(error, attempt.file, this.#setting());
          this.#sayProblem(attempt.file.name, message);
          this.#emit("error", attempt, { code: error.code, message });
        },
        onLost: () => {
          const { name = "", detail } = this.#picture();
          this.#sayProblem(name, detail);
        },
      },
    );
  }

  /** @returns {import("./upload.js").Destination} */
  #destination() {
    const field = this;
    const { host } = field;
    const statusUrl = host.getAttribute("status-url") ?? "";
    return {
      generateUrl: host.getAttribute("generate-url") ?? "",
      fieldId: host.getAttribute("field-id") ?? "",
      instanceId: host.getAttribute("instance-id"),
      // Asked for anew at each request: who has logged in again meanwhile has another token.
      get csrfHeaders() {
        return field.#csrfHeaders();
      },
      watcher: watchUploads({ socketUrl: host.getAttribute("socket-url"), statusUrl }),
    };
  }

  /**
   * From the form, as a cookie may be out of reach (`CSRF_COOKIE_HTTPONLY`, `CSRF_USE_SESSIONS`); from the cookie where
   * that has changed since the page came, as it does with a login in another tab.
   */
  #csrfHeaders() {
    const selector = "input[name=csrfmiddlewaretoken]";
    const input = this.hidden.form?.querySelector(selector) ?? document.querySelector(selector);
    const name = this.host.getAttribute("csrf-header") ?? "X-CSRFToken";
    const token = changedCookie(this.host.getAttribute("csrf-cookie"));
    if (token) return { [name]: token };
    return input instanceof HTMLInputElement ? { [name]: input.value } : {};
  }

  #pick() {
    const file = this.fileInput.files?.[0];
    // Emptied, so that picking the same file again is a change again.
    this.fileInput.value = "";
    if (file) this.file.take(file);
  }

  /** @param {import("./view.js").Action} action */
  #act(action) {
    if (this.isDisabled) return;
    if (action === "replace") return this.fileInput.click();
    if (action === "retry") {
      this.file.retry();
      return this.view.focus();
    }
    const { file } = this;
    const { attempt, busy } = file;
    const { name = "" } = this.#picture();
    // Who takes a file back while the form waits for it wants to think again.
    stopWaiting(this.hidden.form);
    if (attempt) file.cancel();
    else file.remove();
    this.view.focus();
    this.#say(busy ? "cancelled" : "removed", name);
    if (attempt && busy) this.#emit("cancel", attempt);
  }

  /**
   * @param {import("./messages.js").MessageName} message
   * @param {string} name
   */
  #say(message, name) {
    const words = this.messages[message];
    const shown = shortenName(name);
    // Beside the name on display, words need not repeat it; a screen reader hears them from anywhere on the page.
    const spoken = words.includes("{name}") ? fillIn(words, { name: shown }) : `${isolate(shown)}: ${words}`;
    this.view.announce(spoken);
  }

  /**
   * @param {string} name
   * @param {string} [words]
   */
  #sayProblem(name, words = "") {
    const shown = shortenName(name);
    this.view.announce(words.includes(shown) ? words : `${isolate(shown)}: ${words}`);
  }

  /** @param {Attempt} attempt */
  #announceStart(attempt) {
    this.#announced = 0;
    this.#say("uploading", attempt.file.name);
    this.#emit("start", attempt, { size: attempt.file.size });
  }

  /** @param {Attempt} attempt */
  #showProgress(attempt) {
    this.render();
    if (attempt.upload?.phase !== "uploading") return;
    const { received, total } = attempt.upload;
    this.#emit("progress", attempt, { received, total });
    const percent = percentOf(received, total);
    if (percent < this.#announced + ANNOUNCED_STEP || percent === 100) return;
    this.#announced = percent - (percent % ANNOUNCED_STEP);
    this.view.announce(describeProgress(received, total, this.messages));
  }

  /** @returns {import("./pictures.js").Setting} */
  #setting() {
    const { messages, limits, isImage, isDisabled } = this;
    const isRemovable = this.file.isNew || this.host.hasAttribute("clearable");
    return { messages, limits, isImage, isDisabled, isRemovable };
  }

  #picture() {
    const { attempt, holding } = this.file;
    if (attempt) return pictureOfAttempt(attempt, this.#setting());
    if (holding) return pictureOfHolding(holding, this.#setting());
    return /** @type {import("./view.js").Picture} */ ({ state: "empty" });
  }

  /**
   * @param {"start" | "progress" | "done" | "error" | "cancel"} name
   * @param {Attempt} attempt
   * @param {object} [more]
   */
  #emit(name, { file, upload }, more = {}) {
    const detail = { key: upload?.ticket?.key ?? null, name: file.name, ...more };
    this.host.dispatchEvent(new CustomEvent(`async-upload-${name}`, { bubbles: true, detail }));
  }
}
