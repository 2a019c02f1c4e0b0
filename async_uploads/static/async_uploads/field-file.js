// The file of one field: the attempt to upload one, the one it holds, and what becomes of them. No DOM.

import { findProblem } from "./checks.js";
import { previewImage } from "./image-preview.js";
import { isTemporary } from "./stored-file.js";
import { cancelUpload, UploadError } from "./transfer.js";
import { errorOf, Upload } from "./upload.js";

/** @typedef {import("./pictures.js").Attempt} Attempt */
/** @typedef {import("./pictures.js").Holding} Holding */
/** @typedef {import("./stored-file.js").StoredFile} StoredFile */
/** @typedef {import("./status.js").UploadStatus} UploadStatus */
/** @typedef {import("./status.js").UploadMissing} UploadMissing */

/**
 * @typedef {object} Observer
 * @property {() => void} onChange
 * @property {(attempt: Attempt) => void} onStart
 * @property {(attempt: Attempt) => void} onProgress
 * @property {(attempt: Attempt, status: UploadStatus) => void} onDone
 * @property {(attempt: Attempt, error: UploadError) => void} onFailed
 * @property {() => void} onLost the file it holds is gone
 */

/**
 * @param {StoredFile | null} value
 * @returns {Holding | null}
 */
function holdingOf(value) {
  if (!value) return null;
  return { value, file: null, preview: null, imageUrl: value.url ?? null, ticket: null, status: null, error: null };
}

export class FieldFile {
  /** @type {Attempt | null} */ attempt = null;
  /** @type {Holding | null} */ holding;
  #unwatch = () => {};

  /**
   * @param {object} options
   * @param {StoredFile | null} options.initial what the page was rendered with
   * @param {StoredFile | null} options.saved what the record has
   * @param {string | null} options.temporaryPrefix of the keys of uploads that no record owns yet
   * @param {boolean} options.isImage
   * @param {() => import("./checks.js").Limits} options.limits
   * @param {() => import("./upload.js").Destination} options.destination
   * @param {Observer} observer
   */
  constructor({ initial, saved, temporaryPrefix, isImage, limits, destination }, observer) {
    this.initial = initial;
    this.saved = saved;
    this.temporaryPrefix = temporaryPrefix;
    this.isImage = isImage;
    this.limits = limits;
    this.destination = destination;
    this.observer = observer;
    this.holding = holdingOf(initial);
  }

  get value() {
    return this.holding?.value ?? null;
  }

  /** Whether it holds a file that the record does not have yet. */
  get isNew() {
    return this.value?.key !== this.saved?.key;
  }

  get busy() {
    if (this.attempt) return !this.attempt.error;
    return !this.holding?.error && this.holding?.status?.state === "uploading";
  }

  get failed() {
    return Boolean(this.attempt ? this.attempt.error : this.holding?.error);
  }

  /** @param {File} file */
  take(file) {
    this.#drop();
    const attempt = { file, preview: previewImage(file), upload: null, error: null };
    this.attempt = attempt;
    const problem = findProblem(file, this.limits());
    if (problem) this.#fail(attempt, new UploadError(problem));
    else this.#send(attempt);
  }

  /** Goes on where the attempt failed: bytes that are in storage are not sent again. */
  retry() {
    const { attempt, holding } = this;
    if (attempt?.upload?.isSent) {
      this.#run(attempt, attempt.upload);
    } else if (attempt) {
      attempt.upload?.cancel();
      this.#send(attempt);
    } else if (holding?.file) {
      this.take(holding.file);
    }
  }

  /** Gives up the attempt; what was there before stays. */
  cancel() {
    this.#drop();
    this.observer.onChange();
  }

  /** Takes away a new upload, so that the record's own file is back; and that one with the next call. */
  remove() {
    const { holding } = this;
    this.#hold(holdingOf(this.isNew ? this.saved : null));
    this.#discard(holding);
  }

  reset() {
    this.#drop();
    this.#hold(holdingOf(this.initial));
  }

  /** Follows the state of an upload that no record owns yet. */
  watch() {
    this.#unwatch();
    const { holding } = this;
    if (!holding || !isTemporary(holding.value, this.temporaryPrefix)) return;
    const { watcher } = this.destination();
    const { key } = holding.value;
    this.#unwatch = watcher.subscribe(key, (event) => this.#heed(holding, event));
    if (!holding.status) watcher.refresh(key);
  }

  leave() {
    this.#unwatch();
    this.cancel();
  }

  /** @param {Attempt} attempt */
  #send(attempt) {
    const upload = new Upload(attempt.file, this.destination());
    attempt.upload = upload;
    upload.addEventListener("started", () => this.observer.onStart(attempt));
    upload.addEventListener("change", () => {
      if (attempt === this.attempt) this.observer.onProgress(attempt);
    });
    this.#run(attempt, upload);
  }

  /**
   * @param {Attempt} attempt
   * @param {Upload} upload
   */
  async #run(attempt, upload) {
    attempt.error = null;
    this.observer.onChange();
    try {
      const status = await upload.run();
      const dimensions = this.isImage ? await attempt.preview?.dimensions : null;
      if (attempt.upload === upload && attempt === this.attempt) this.#accept(attempt, status, dimensions);
    } catch (error) {
      if (attempt.upload !== upload || attempt !== this.attempt) return;
      this.#fail(attempt, error instanceof UploadError ? error : new UploadError("failed"));
    }
  }

  /**
   * @param {Attempt} attempt
   * @param {UploadStatus} status
   * @param {import("./image-preview.js").Dimensions | null | undefined} dimensions
   */
  #accept(attempt, status, dimensions) {
    const { file, preview, upload } = attempt;
    const value = { key: status.key, name: file.name, ...dimensions };
    const replaced = this.holding;
    this.attempt = null;
    const ticket = upload?.ticket ?? null;
    this.#hold({ value, file, preview, imageUrl: status.url, ticket, status, error: null });
    this.#discard(replaced);
    this.observer.onDone(attempt, status);
  }

  /**
   * @param {Attempt} attempt
   * @param {UploadError} error
   */
  #fail(attempt, error) {
    attempt.error = error;
    this.observer.onChange();
    this.observer.onFailed(attempt, error);
  }

  #drop() {
    const { attempt } = this;
    this.attempt = null;
    attempt?.upload?.cancel();
    attempt?.preview?.close();
  }

  /** @param {Holding | null} holding */
  #hold(holding) {
    this.holding?.preview?.close();
    this.holding = holding;
    this.watch();
    this.observer.onChange();
  }

  /**
   * Lets go of an upload that no form will submit any more.
   * @param {Holding | null} holding
   */
  #discard(holding) {
    if (!holding?.ticket || holding.error || holding.status?.state !== "uploaded") return;
    cancelUpload(holding.ticket.cancelUrl, holding.ticket.key, this.destination().csrfHeaders);
  }

  /**
   * @param {Holding} holding
   * @param {UploadStatus | UploadMissing} event
   */
  #heed(holding, event) {
    if (holding !== this.holding) return;
    if (event.type === "error") {
      holding.error = new UploadError(event.code);
    } else {
      holding.status = event;
      // Each event signs a new URL; an image on display is not fetched again, least of all while it is promoted.
      holding.imageUrl ??= event.url;
      const isLost = ["failed", "cancelled", "expired"].includes(event.state);
      // Nothing arrived: whoever was sending it is gone.
      holding.error = isLost ? errorOf(event) : event.state === "pending" ? new UploadError("network") : null;
    }
    this.observer.onChange();
    if (holding.error && !this.attempt) this.observer.onLost();
  }
}
