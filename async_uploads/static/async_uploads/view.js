// What a person sees and hears of one field. Knows nothing of uploads: it draws what it is told.

import { describeTypes, isAccepted } from "./checks.js";
import { create } from "./elements.js";
import { formatSize, shortenName } from "./format.js";
import { icon } from "./icons.js";
import { fillIn, isolate } from "./messages.js";

/** @typedef {"cancel" | "retry" | "replace" | "remove"} Action */

/**
 * @typedef {object} Picture of the field at one moment
 * @property {"empty" | "stored" | "busy" | "failed"} state
 * @property {string} [name]
 * @property {string | null} [url] where the name links to
 * @property {string | null} [thumbnail]
 * @property {string} [detail]
 * @property {boolean} [done] whether to tick it off
 * @property {number | null} [percent] `null` while nobody can tell
 * @property {Action[]} [actions]
 */

const ACTIONS = /** @type {const} */ (["cancel", "retry", "replace", "remove"]);

let count = 0;

export class View {
  /** @type {string | null | undefined} */ #thumbnail;

  /**
   * @param {HTMLElement} host
   * @param {HTMLInputElement} fileInput
   * @param {object} options
   * @param {import("./messages.js").Messages} options.messages
   * @param {number | null} options.maxSize bytes
   * @param {(action: Action) => void} options.onAction
   */
  constructor(host, fileInput, { messages, maxSize, onAction }) {
    this.host = host;
    this.fileInput = fileInput;
    this.messages = messages;
    // Not made from the field's id, which formsets renumber without the references to it.
    count += 1;
    this.id = `async-upload-${count}`;

    this.hint = create("span", "hint");
    this.hint.id = `${this.id}-hint`;
    this.hint.textContent = this.#describeLimits(maxSize);
    this.zone = this.#buildZone();
    this.symbol = create("span", "symbol");
    this.link = create("a", "link");
    this.link.target = "_blank";
    this.link.rel = "noopener";
    this.name = create("bdi", "name");
    this.detail = create("span", "detail");
    this.detail.id = `${this.id}-detail`;
    this.bar = create("progress", "bar");
    this.bar.max = 100;
    this.buttons = ACTIONS.map((action) => this.#buildButton(action, onAction));
    this.card = create(
      "div",
      "card",
      this.symbol,
      create("div", "text", create("div", "title", this.name), this.detail),
      create("div", "actions", ...this.buttons),
      this.bar,
    );
    this.card.setAttribute("role", "group");
    this.card.tabIndex = -1;
    this.live = create("div", "live");
    this.live.setAttribute("role", "status");
    this.live.setAttribute("aria-live", "polite");
    const dropHere = create("div", "drop", messages.dropHere);
    dropHere.setAttribute("aria-hidden", "true");
    this.root = create("div", "view", this.zone, this.card, dropHere, this.live);
    this.describedBy = fileInput.getAttribute("aria-describedby");
    this.invalid = fileInput.getAttribute("aria-invalid");
    host.append(this.root);
  }

  /** @param {Picture} picture */
  render({ state, name = "", url, thumbnail, detail = "", done = false, percent, actions = [] }) {
    const focused = this.host.contains(document.activeElement) ? document.activeElement : null;
    const isEmpty = state === "empty";
    this.host.dataset.state = state;
    this.zone.hidden = !isEmpty;
    this.card.hidden = isEmpty;
    // While a file is shown, "Replace" stands in the tab order for the input.
    this.fileInput.tabIndex = isEmpty ? 0 : -1;
    this.#describeInput(state);
    this.#showName(name, url);
    this.#showSymbol(state, name, thumbnail);
    this.detail.replaceChildren(...(done ? [icon("done")] : []), detail);
    this.#showProgress(state === "busy", name, percent);
    for (const button of this.buttons) {
      const action = /** @type {Action} */ (button.dataset.action);
      button.hidden = !actions.includes(action);
      button.setAttribute("aria-label", `${this.messages[action]} ${name}`);
    }
    if (focused && (focused === this.fileInput ? !isEmpty : focused.closest("[hidden]"))) this.focus();
  }

  /** Puts the focus where a person goes on, without arming a button that they did not mean to press. */
  focus() {
    if (this.card.hidden) this.fileInput.focus();
    else this.card.focus();
  }

  /** Puts the focus on what can be done about an error. */
  focusError() {
    const button = this.buttons.find((candidate) => !candidate.hidden);
    (button ?? this.card).focus();
    this.card.scrollIntoView({ block: "nearest" });
  }

  /** @param {string} text */
  announce(text) {
    // The same words twice are no change, and would not be spoken.
    this.live.textContent = this.live.textContent === text ? `${text}\u00a0` : text;
  }

  #buildZone() {
    const { browse, drop } = this.messages;
    const invitation = create("span", "invitation", create("span", "browse", browse), " ", drop);
    // The file input above it says the same to a screen reader.
    invitation.setAttribute("aria-hidden", "true");
    return create("div", "zone", icon("upload"), create("div", "text", invitation, this.hint));
  }

  /** @param {number | null} maxSize */
  #describeLimits(maxSize) {
    const { accept } = this.fileInput;
    const takesImages = isAccepted(new File([], "image.png", { type: "image/png" }), accept);
    const types = describeTypes(accept);
    return [
      types && isolate(types),
      maxSize ? fillIn(this.messages.hint, { limit: formatSize(maxSize) }) : "",
      accept && takesImages ? this.messages.paste : "",
    ]
      .filter(Boolean)
      .join(" · ");
  }

  /**
   * @param {Action} action
   * @param {(action: Action) => void} onAction
   */
  #buildButton(action, onAction) {
    const button = create("button", "button", this.messages[action]);
    button.type = "button";
    button.dataset.action = action;
    button.setAttribute("aria-describedby", this.detail.id);
    button.addEventListener("click", () => onAction(action));
    return button;
  }

  /** @param {Picture["state"]} state */
  #describeInput(state) {
    const own = state === "empty" ? (this.hint.textContent ? this.hint.id : null) : this.detail.id;
    this.fileInput.setAttribute("aria-describedby", [this.describedBy, own].filter(Boolean).join(" "));
    if (state === "failed") this.fileInput.setAttribute("aria-invalid", "true");
    else if (this.invalid === null) this.fileInput.removeAttribute("aria-invalid");
    else this.fileInput.setAttribute("aria-invalid", this.invalid);
  }

  /**
   * @param {string} name
   * @param {string | null} [url]
   */
  #showName(name, url) {
    this.card.setAttribute("aria-label", name);
    this.name.textContent = shortenName(name);
    this.name.title = name;
    const isLinked = this.name.parentElement === this.link;
    if (url) this.link.href = url;
    if (Boolean(url) === isLinked) return;
    if (isLinked) return this.link.replaceWith(this.name);
    this.name.replaceWith(this.link);
    this.link.replaceChildren(this.name, create("span", "unseen", ` (${this.messages.newWindow})`));
  }

  /**
   * @param {Picture["state"]} state
   * @param {string} name
   * @param {string | null} [thumbnail]
   */
  #showSymbol(state, name, thumbnail) {
    this.symbol.dataset.state = state;
    const shown = thumbnail ?? (state === "failed" ? "problem" : "file");
    if (this.#thumbnail === shown) return;
    this.#thumbnail = shown;
    if (!thumbnail) return this.symbol.replaceChildren(icon(state === "failed" ? "problem" : "file"));
    const image = create("img", "thumbnail");
    image.alt = fillIn(this.messages.preview, { name });
    // What the browser cannot show, a HEIC photo in Chromium say, is still a fine upload.
    image.onerror = () => image.replaceWith(icon("image"));
    image.src = thumbnail;
    this.symbol.replaceChildren(image);
  }

  /**
   * @param {boolean} isBusy
   * @param {string} name
   * @param {number | null} [percent]
   */
  #showProgress(isBusy, name, percent) {
    this.bar.hidden = !isBusy;
    this.bar.setAttribute("aria-label", fillIn(this.messages.uploading, { name }));
    if (percent === null || percent === undefined) this.bar.removeAttribute("value");
    else this.bar.value = percent;
  }
}
