// Every text a person sees: the server's translations, over English.

const ENGLISH = Object.freeze({
  browse: "Choose a file",
  drop: "or drop it here",
  dropHere: "Drop the file here",
  paste: "You can paste an image, too",
  hint: "Up to {limit}",
  waiting: "Waiting to upload…",
  uploading: "Uploading {name}",
  progress: "{percent} % ({received} of {total})",
  checking: "Checking the file…",
  uploaded: "Uploaded",
  saved: "Saved",
  failed: "The upload failed.",
  cancelled: "The upload was cancelled.",
  cancel: "Cancel",
  retry: "Retry",
  replace: "Replace",
  remove: "Remove",
  removed: "The file was removed.",
  tooLarge: "This file has {size}. The largest allowed is {limit}.",
  tooLargeForServer: "This file is too large for the server.",
  loggedOut: "You are logged out, or this page is out of date. Log in again, then retry or reload the page.",
  empty: "This file is empty.",
  wrongType: "This type of file is not allowed here. Allowed: {types}.",
  network: "The connection was lost before the file arrived.",
  storageUnavailable: "The file storage cannot be reached at the moment. Please try again later.",
  expired: "This upload is no longer available. Please choose the file again.",
  submitting: "The form is sent as soon as the upload is done…",
  submitBlocked: "The form was not sent, because this file is not uploaded.",
  leave: "A file is still being uploaded. If you leave now, it is lost.",
  preview: "Preview of {name}",
  newWindow: "opens in a new window",
});

/** @typedef {keyof typeof ENGLISH} MessageName */
/** @typedef {Record<MessageName, string>} Messages */

/**
 * @param {string | null} json the `messages` attribute
 * @returns {Messages}
 */
export function readMessages(json) {
  return { ...ENGLISH, ...(json ? JSON.parse(json) : {}) };
}

/**
 * Keeps a right-to-left name from reordering the sentence it stands in, and the other way round.
 * @param {string} text
 */
export function isolate(text) {
  return `\u2068${text}\u2069`;
}

/**
 * Fills in `{name}`, `{size}` …
 * @param {string} template
 * @param {Record<string, string>} values
 */
export function fillIn(template, values) {
  return template.replace(/\{(\w+)\}/g, (placeholder, name) =>
    name in values ? isolate(values[name]) : placeholder,
  );
}
