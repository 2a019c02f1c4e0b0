// Keeps a form from going without its files: waits for those under way, stops at those that failed, warns who leaves.

/**
 * @typedef {object} Guarded a field with an upload
 * @property {HTMLFormElement | null} form
 * @property {boolean} busy
 * @property {boolean} failed
 * @property {import("./messages.js").Messages} messages
 * @property {(isWaiting: boolean) => void} showWaiting
 * @property {() => void} showBlocked
 */

/**
 * @typedef {object} Waiting
 * @property {HTMLElement | null} submitter
 * @property {HTMLElement} note
 */

/** @type {Set<Guarded>} */
const guarded = new Set();
/** @type {Map<HTMLFormElement, Waiting>} */
const waitingForms = new Map();

/** @param {Guarded} field */
export function guard(field) {
  guarded.add(field);
}

/** @param {Guarded} field */
export function release(field) {
  guarded.delete(field);
  update();
}

/** To be called whenever a field becomes busy, failed, or neither. */
export function update() {
  if ([...guarded].some((field) => field.busy)) addEventListener("beforeunload", warn);
  else removeEventListener("beforeunload", warn);
  for (const [form, { submitter }] of [...waitingForms]) {
    if (block(form)) continue;
    if (fieldsOf(form).some((field) => field.busy)) continue;
    stopWaiting(form);
    if (form.isConnected) form.requestSubmit(canSubmit(submitter, form) ? submitter : null);
  }
}

/**
 * Forgets that a form was to be sent: who cancels an upload meanwhile wants to think again.
 * @param {HTMLFormElement | null} form
 */
export function stopWaiting(form) {
  const waiting = form && waitingForms.get(form);
  if (!waiting) return;
  waitingForms.delete(form);
  waiting.note.remove();
  form.removeAttribute("data-async-uploads-waiting");
  for (const field of fieldsOf(form)) field.showWaiting(false);
}

/** @param {HTMLFormElement} form */
function fieldsOf(form) {
  return [...guarded].filter((field) => field.form === form);
}

/**
 * @param {HTMLElement | null} submitter
 * @param {HTMLFormElement} form
 * @returns {submitter is HTMLButtonElement}
 */
function canSubmit(submitter, form) {
  return (
    (submitter instanceof HTMLButtonElement || submitter instanceof HTMLInputElement) &&
    submitter.form === form &&
    submitter.isConnected
  );
}

/**
 * @param {HTMLFormElement} form
 * @returns {boolean} whether a failed upload is in the way
 */
function block(form) {
  const failed = fieldsOf(form).find((field) => field.failed);
  if (!failed) return false;
  stopWaiting(form);
  failed.showBlocked();
  return true;
}

/**
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 * @param {string} text
 */
function wait(form, submitter, text) {
  stopWaiting(form);
  const note = document.createElement("span");
  note.className = "async-uploads-submitting";
  note.textContent = text;
  const row = submitter?.parentElement;
  if (row && row !== form) row.append(note);
  else if (submitter) submitter.after(note);
  else form.append(note);
  form.setAttribute("data-async-uploads-waiting", "");
  waitingForms.set(form, { submitter, note });
  for (const field of fieldsOf(form)) field.showWaiting(field.busy);
}

/** @param {SubmitEvent} event */
function onSubmit(event) {
  const form = event.target;
  if (!(form instanceof HTMLFormElement)) return;
  const busy = fieldsOf(form).find((field) => field.busy);
  const isBlocked = block(form);
  if (!busy && !isBlocked) return;
  event.preventDefault();
  // The page's own handlers (a disabled button, a fetch) come to their turn when the form is really sent.
  event.stopImmediatePropagation();
  if (busy && !isBlocked) wait(form, event.submitter, busy.messages.submitting);
}

/** @param {BeforeUnloadEvent} event */
function warn(event) {
  event.preventDefault();
  // Browsers show words of their own; older ones need a value to ask at all.
  event.returnValue = [...guarded].find((field) => field.busy)?.messages.leave ?? "";
}

addEventListener("submit", onSubmit, { capture: true });
