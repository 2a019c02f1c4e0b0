// <async-file-input>: uploads a file while the rest of the form is filled out, and submits only its key.

import { isAccepted } from "./checks.js";
import { Field } from "./field.js";
import { guard, release } from "./form-guard.js";
import { leavePastes, takeDrops, takePastes } from "./gestures.js";
import { readMessages } from "./messages.js";

/**
 * Events, all bubbling, with `{key, name, …}` in `detail`: `async-upload-start` `{size}`, `async-upload-progress`
 * `{received, total}` (bytes), `async-upload-done` `{status}`, `async-upload-error` `{code, message}`,
 * `async-upload-cancel`.
 */
export class AsyncFileInput extends HTMLElement {
  static formAssociated = true;

  /** @type {Field | null} */ #field = null;
  #observer = new MutationObserver(() => this.connectedCallback());

  connectedCallback() {
    if (!this.isConnected) return;
    if (!this.#field) this.#enhance();
    if (!this.#field) {
      this.#observer.observe(this, { childList: true, subtree: true, attributeFilter: ["name"] });
      return;
    }
    this.#observer.disconnect();
    this.#field.file.watch();
    guard(this);
    takePastes(this);
    this.#field.goOn();
  }

  disconnectedCallback() {
    this.#observer.disconnect();
    // A row that is dragged to another place leaves and comes back at once.
    queueMicrotask(() => {
      if (this.isConnected || !this.#field) return;
      leavePastes(this);
      this.#field.file.leave();
      release(this);
    });
  }

  formResetCallback() {
    this.#field?.file.reset();
  }

  formDisabledCallback() {
    this.#field?.render();
  }

  get form() {
    return this.#field?.hidden.form ?? null;
  }

  /** What the form would submit. */
  get value() {
    return this.#field?.file.value ?? null;
  }

  get busy() {
    return this.#field?.file.busy ?? false;
  }

  get failed() {
    return this.#field?.file.failed ?? false;
  }

  get canTake() {
    return this.#field !== null && !this.#field.isDisabled;
  }

  get messages() {
    return this.#field?.messages ?? readMessages(null);
  }

  /** @param {File} file */
  wants(file) {
    return this.#field !== null && isAccepted(file, this.#field.limits.accept);
  }

  /**
   * Uploads a file in place of what the field holds.
   * @param {File} file
   */
  take(file) {
    if (this.canTake) this.#field?.file.take(file);
  }

  /** @param {boolean} isWaiting */
  showWaiting(isWaiting) {
    this.#field?.showWaiting(isWaiting);
  }

  showBlocked() {
    this.#field?.showBlocked();
  }

  /** Does nothing while children are still to come, or in the empty row of a formset, which has no number yet. */
  #enhance() {
    const hidden = this.querySelector("input[type=hidden]");
    const fileInput = this.querySelector("input[type=file]");
    if (!(hidden instanceof HTMLInputElement && fileInput instanceof HTMLInputElement)) return;
    if (hidden.name.includes("__prefix__")) return;
    this.#forgetOriginal(hidden, fileInput);
    this.#field = new Field(this, hidden, fileInput);
    takeDrops(this);
  }

  /**
   * A copy of an enhanced element begins anew: one upload belongs to one record.
   * @param {HTMLInputElement} hidden
   * @param {HTMLInputElement} fileInput
   */
  #forgetOriginal(hidden, fileInput) {
    const view = this.querySelector(":scope > .async-upload-view");
    if (!view) return;
    for (const element of view.querySelectorAll("[id]")) {
      const references = fileInput.getAttribute("aria-describedby")?.split(" ") ?? [];
      fileInput.setAttribute("aria-describedby", references.filter((id) => id !== element.id).join(" "));
    }
    fileInput.removeAttribute("aria-invalid");
    view.remove();
    const inputs = document.querySelectorAll("async-file-input > input[type=hidden]");
    const isTwin = [...inputs].some(
      (input) => input instanceof HTMLInputElement && input !== hidden && input.value === hidden.value,
    );
    if (isTwin) hidden.value = "";
  }
}

if (!customElements.get("async-file-input")) customElements.define("async-file-input", AsyncFileInput);
