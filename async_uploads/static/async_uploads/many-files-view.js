// Where many files are chosen or dropped at once: one file input, as labels, keyboards and screen readers know it.

import { create } from "./elements.js";
import { icon } from "./icons.js";

let count = 0;

export class ManyFilesView {
  /**
   * @param {object} options
   * @param {string} options.browse
   * @param {string} options.drop
   * @param {string} options.hint what may be chosen
   * @param {string} options.cancel
   * @param {string} options.accept
   * @param {(files: File[]) => void} options.onFiles
   * @param {() => void} options.onCancel
   */
  constructor({ browse, drop, hint, cancel, accept, onFiles, onCancel }) {
    count += 1;
    this.limits = hint;
    this.hint = create("span", "hint");
    this.hint.id = `async-upload-many-${count}`;
    this.input = this.#buildInput(browse, accept, onFiles);
    this.invitation = create("span", "invitation", create("span", "browse", browse), " ", drop);
    // The file input above it says the same to a screen reader.
    this.invitation.setAttribute("aria-hidden", "true");
    const zone = create("div", "zone", icon("upload"), create("div", "text", this.invitation, this.hint));
    this.waiting = create("span", "detail");
    this.queue = create("div", "queue", this.waiting, this.#buildCancel(cancel, onCancel));
    this.live = create("div", "live");
    this.live.setAttribute("role", "status");
    this.live.setAttribute("aria-live", "polite");
    this.chooser = create("div", "chooser", this.input, create("div", "view", zone, this.live));
    this.root = create("div", "many", this.chooser, this.queue);
  }

  get isDisabled() {
    return this.input.matches(":disabled");
  }

  /**
   * @param {object} state
   * @param {boolean} state.isFull
   * @param {string} state.note in place of what may be chosen
   * @param {string} state.waiting
   */
  render({ isFull, note, waiting }) {
    this.input.disabled = isFull;
    this.invitation.hidden = isFull;
    this.hint.textContent = note || this.limits;
    this.waiting.textContent = waiting;
    this.queue.hidden = !waiting;
  }

  /** @param {string} text */
  announce(text) {
    // The same words twice are no change, and would not be spoken.
    this.live.textContent = this.live.textContent === text ? `${text}\u00a0` : text;
  }

  /** @param {boolean} isDragging */
  showDragging(isDragging) {
    this.chooser.toggleAttribute("data-dragging", isDragging);
  }

  focus() {
    this.input.focus();
  }

  /**
   * @param {string} label
   * @param {string} accept
   * @param {(files: File[]) => void} onFiles
   */
  #buildInput(label, accept, onFiles) {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.accept = accept;
    input.setAttribute("aria-label", label);
    input.setAttribute("aria-describedby", this.hint.id);
    input.addEventListener("change", (event) => {
      event.stopPropagation(); // it holds nothing that the form submits
      const files = [...(input.files ?? [])];
      // Emptied, so that choosing the same files again is a change again.
      input.value = "";
      onFiles(files);
    });
    return input;
  }

  /**
   * @param {string} label
   * @param {() => void} onCancel
   */
  #buildCancel(label, onCancel) {
    const button = /** @type {HTMLButtonElement} */ (create("button", "button", label));
    button.type = "button";
    button.addEventListener("click", () => {
      this.input.focus();
      onCancel();
    });
    return button;
  }
}
