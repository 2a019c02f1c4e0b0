// The rows of a Django formset: counted in its management form, added from its empty form.

/** @typedef {import("./async-file-input.js").AsyncFileInput} Widget */

/** @param {Element} row */
function widgetOf(row) {
  return /** @type {Widget | null} */ (row.querySelector("async-file-input"));
}

/**
 * @param {Element} control
 * @returns {boolean} whether it is as the server rendered it
 */
function isUntouched(control) {
  if (control instanceof HTMLSelectElement)
    return [...control.options].every((option) => option.selected === option.defaultSelected);
  if (control instanceof HTMLTextAreaElement) return control.value === control.defaultValue;
  if (!(control instanceof HTMLInputElement)) return true;
  if (control.type === "checkbox" || control.type === "radio") return control.checked === control.defaultChecked;
  return control.value === control.defaultValue;
}

/**
 * @param {Element} row
 * @returns {boolean} whether nothing in it asks for a person's attention
 */
function isUnused(row) {
  if (row.querySelector(".errorlist, [aria-invalid=true]")) return false;
  const controls = [...row.querySelectorAll("input, select, textarea")];
  return controls.every((control) => control.closest("async-file-input") || isUntouched(control));
}

export class FormsetRows {
  /**
   * @param {HTMLElement} formset
   * @returns {FormsetRows | null} `null` where it is not rendered as a formset
   */
  static of(formset) {
    const total = formset.querySelector("input[name$='-TOTAL_FORMS']");
    const container = formset.querySelector("[data-rows]");
    const template = formset.querySelector("template");
    if (!(total instanceof HTMLInputElement && container instanceof HTMLElement && template)) return null;
    return new FormsetRows(formset, total, container, template);
  }

  /**
   * @param {HTMLElement} formset
   * @param {HTMLInputElement} total
   * @param {HTMLElement} container
   * @param {HTMLTemplateElement} template
   */
  constructor(formset, total, container, template) {
    this.total = total;
    this.container = container;
    this.template = template;
    /** The field that each new row begins with. */
    this.model = template.content.querySelector("async-file-input");
    this.initial = this.#numberOf(formset, "INITIAL_FORMS") ?? 0;
    this.max = this.#numberOf(formset, "MAX_NUM_FORMS") ?? Infinity;
  }

  get accept() {
    return this.model?.querySelector("input[type=file]")?.getAttribute("accept") ?? "";
  }

  /** Rows that could take a file: new ones, with nothing in them. */
  get spare() {
    return this.#all
      .slice(this.initial)
      .filter((row) => widgetOf(row)?.dataset.state === "empty" && isUnused(row));
  }

  get busyCount() {
    return this.#all.filter((row) => widgetOf(row)?.busy).length;
  }

  /** For how many more files there is room. */
  get room() {
    const deleted = this.container.querySelectorAll("input[name$='-DELETE']:checked").length;
    return this.max - Number(this.total.value) + deleted + this.spare.length;
  }

  /** @param {File} file */
  take(file) {
    const row = this.spare[0] ?? this.#add();
    row.hidden = false;
    widgetOf(row)?.take(file);
  }

  get #all() {
    return /** @type {HTMLElement[]} */ ([...this.container.children]);
  }

  /** Django's empty form carries `__prefix__` where the number of the row belongs. */
  #add() {
    const index = this.total.value;
    const copy = document.createElement("template");
    copy.innerHTML = this.template.innerHTML.replaceAll("__prefix__", index);
    this.container.append(copy.content);
    this.total.value = String(Number(index) + 1);
    return /** @type {HTMLElement} */ (this.container.lastElementChild);
  }

  /**
   * @param {HTMLElement} formset
   * @param {string} name of a number in the management form
   */
  #numberOf(formset, name) {
    const input = formset.querySelector(`input[name$='-${name}']`);
    return input instanceof HTMLInputElement && input.value ? Number(input.value) : null;
  }
}
