// From what a field holds to what a person sees: no element, no network.

import { describeTypes } from "./checks.js";
import { formatPercent, formatSize, percentOf, shortenName } from "./format.js";
import { fillIn, isolate } from "./messages.js";

/** @typedef {import("./view.js").Picture} Picture */
/** @typedef {import("./messages.js").Messages} Messages */
/** @typedef {import("./image-preview.js").ImagePreview} ImagePreview */
/** @typedef {import("./transfer.js").UploadError} UploadError */

/**
 * @typedef {object} Attempt a picked file on its way
 * @property {File} file
 * @property {ImagePreview | null} preview
 * @property {import("./upload.js").Upload | null} upload
 * @property {UploadError | null} error
 */

/**
 * @typedef {object} Holding what the form would submit
 * @property {import("./stored-file.js").StoredFile} value
 * @property {File | null} file known where it was picked on this page
 * @property {ImagePreview | null} preview
 * @property {string | null} imageUrl where the stored image was first seen
 * @property {import("./transfer.js").Ticket | null} ticket
 * @property {import("./status.js").UploadStatus | null} status
 * @property {UploadError | null} error
 */

/**
 * @typedef {object} Setting
 * @property {Messages} messages
 * @property {import("./checks.js").Limits} limits
 * @property {boolean} isImage
 * @property {boolean} isDisabled
 * @property {boolean} isRemovable whether the file it holds can be taken away
 */

/**
 * @param {UploadError} error
 * @param {{name: string, size: number | null}} file
 * @param {Setting} setting
 */
export function explain(error, { name, size }, { messages, limits }) {
  if (error.message) return error.message;
  const { accept, maxSize } = limits;
  // Of a limit that the field does not have, the storage alone knows the number.
  const message = error.code === "tooLarge" && maxSize === null ? "tooLargeForServer" : messageFor(error);
  return fillIn(messages[message], {
    name: shortenName(name),
    size: formatSize(size ?? 0),
    limit: formatSize(maxSize ?? 0),
    types: describeTypes(accept),
  });
}

/** @param {UploadError} error */
function messageFor({ code }) {
  switch (code) {
    case "tooLarge":
    case "tooLargeForServer":
    case "loggedOut":
    case "empty":
    case "wrongType":
    case "network":
    case "cancelled":
    case "expired":
      return code;
    case "not_found":
      return "expired";
    case "storage_unavailable":
      return "storageUnavailable";
    default:
      return "failed";
  }
}

/**
 * @param {number} received bytes
 * @param {number} total bytes
 * @param {Messages} messages
 */
export function describeProgress(received, total, messages) {
  return fillIn(messages.progress, {
    percent: formatPercent(percentOf(received, total)),
    received: formatSize(received),
    total: formatSize(total),
  });
}

/**
 * @param {Attempt} attempt
 * @param {Setting} setting
 * @returns {Picture}
 */
export function pictureOfAttempt({ file, preview, upload, error }, setting) {
  const { messages } = setting;
  const base = { name: file.name, thumbnail: preview?.url };
  if (error) {
    const canRetry = upload !== null && !error.isFinal;
    return {
      ...base,
      state: "failed",
      detail: explain(error, file, setting),
      actions: canRetry ? ["retry", "replace", "remove"] : ["replace", "remove"],
    };
  }
  if (upload?.phase === "uploading") {
    return {
      ...base,
      state: "busy",
      detail: describeProgress(upload.received, upload.total, messages),
      percent: percentOf(upload.received, upload.total),
      actions: ["cancel"],
    };
  }
  const words = upload?.phase === "checking" ? messages.checking : messages.waiting;
  const detail = fillIn(words, { name: shortenName(file.name) });
  return { ...base, state: "busy", detail, percent: null, actions: ["cancel"] };
}

/**
 * @param {Holding} holding
 * @param {Setting} setting
 * @returns {Picture}
 */
export function pictureOfHolding({ value, file, preview, imageUrl, status, error }, setting) {
  const { messages, isImage, isDisabled, isRemovable } = setting;
  const url = status?.url ?? value.url ?? null;
  const thumbnail = preview?.url ?? (isImage ? imageUrl : null);
  const base = { name: value.name, url, thumbnail };
  if (error) {
    return {
      ...base,
      url: null,
      state: "failed",
      detail: explain(error, { name: value.name, size: status?.total ?? null }, setting),
      actions: file && !error.isFinal ? ["retry", "replace", "remove"] : ["replace", "remove"],
    };
  }
  if (status?.state === "uploading") {
    const total = status.total ?? 0;
    return {
      ...base,
      state: "busy",
      detail: total ? describeProgress(status.received, total, messages) : messages.waiting,
      percent: total ? percentOf(status.received, total) : null,
      actions: ["remove"],
    };
  }
  const size = file?.size ?? status?.total;
  const words = status?.state === "promoted" ? messages.saved : status || file ? messages.uploaded : "";
  return {
    ...base,
    state: "stored",
    done: words !== "",
    detail: [fillIn(words, { name: shortenName(value.name) }), size == null ? "" : isolate(formatSize(size))]
      .filter(Boolean)
      .join(" · "),
    actions: isDisabled ? [] : isRemovable ? ["replace", "remove"] : ["replace"],
  };
}
