// One attempt to bring one file to storage: ticket, transfer, completion.

import { announceUpload } from "./status.js";
import { cancelUpload, completeUpload, fetchStatus, requestTicket, sendFile, UploadError } from "./transfer.js";

/** @typedef {import("./status.js").UploadStatus} UploadStatus */
/** @typedef {import("./status.js").UploadMissing} UploadMissing */
/** @typedef {"waiting" | "uploading" | "checking"} Phase */

/**
 * @typedef {object} Destination
 * @property {string} generateUrl
 * @property {string} fieldId
 * @property {string | null} instanceId
 * @property {import("./transfer.js").CsrfHeaders} csrfHeaders
 * @property {import("./status.js").UploadWatcher} watcher
 */

const LOST = ["failed", "cancelled", "expired"];

/** @param {UploadStatus} status */
export function errorOf(status) {
  return new UploadError(status.error?.code ?? status.state, status.error?.message);
}

export class Upload extends EventTarget {
  /** @type {Phase} */ phase = "waiting";
  received = 0;
  /** @type {import("./transfer.js").Ticket | null} */ ticket = null;
  #stop = new AbortController();
  #isOver = false;

  /**
   * @param {File} file
   * @param {Destination} destination
   */
  constructor(file, destination) {
    super();
    this.file = file;
    this.destination = destination;
  }

  get total() {
    return this.file.size;
  }

  /**
   * Emits `started` when there is a ticket, and `change` with each change of phase or progress.
   * @returns {Promise<UploadStatus>}
   * @throws {UploadError} or whatever `cancel` aborted it with
   */
  async run() {
    const { watcher } = this.destination;
    this.ticket = await this.#requestTicket();
    const { key } = this.ticket;
    announceUpload({ key, name: this.file.name });
    const unsubscribe = watcher.subscribe(key, (event) => this.#heed(event));
    try {
      this.dispatchEvent(new Event("started"));
      this.#enter("uploading");
      const status = await this.#transfer(this.ticket);
      if (LOST.includes(status.state)) throw errorOf(status);
      return status;
    } catch (error) {
      // What the server refused, it has given up by itself.
      if (error instanceof UploadError && error.code !== "network") this.#isOver = true;
      throw error;
    } finally {
      unsubscribe();
    }
  }

  /** Stops the transfer and lets go of what arrived. */
  cancel() {
    this.#stop.abort();
    this.#forget();
  }

  #requestTicket() {
    const { generateUrl, fieldId, instanceId, csrfHeaders } = this.destination;
    const { name: filename, type: contentType, size } = this.file;
    return requestTicket(
      generateUrl,
      { fieldId, filename, instanceId, contentType, size },
      csrfHeaders,
      this.#stop.signal,
    );
  }

  /** @param {import("./transfer.js").Ticket} ticket */
  async #transfer(ticket) {
    const { signal } = this.#stop;
    let answer;
    try {
      answer = await sendFile(this.file, ticket.uploadUrl, {
        signal,
        onProgress: (received) => this.#advance(received),
        onSent: () => this.#enter("checking"),
      });
    } catch (error) {
      signal.throwIfAborted();
      return this.#explain(ticket, error);
    }
    if (ticket.uploadUrl.provider === "filesystem" && answer?.type === "status") return answer;
    this.#enter("checking");
    return completeUpload(ticket, this.destination.csrfHeaders, signal);
  }

  /**
   * A connection that broke tells nothing. The server may know the reason, or have everything but the last word.
   * @param {import("./transfer.js").Ticket} ticket
   * @param {unknown} error
   */
  async #explain(ticket, error) {
    if (!(error instanceof UploadError) || error.code !== "network") throw error;
    const status = await fetchStatus(ticket.statusUrl, ticket.key).catch(() => null);
    this.#stop.signal.throwIfAborted();
    if (status && (status.state === "uploaded" || LOST.includes(status.state))) return status;
    throw error;
  }

  /**
   * What the server says meanwhile: cancelled in another tab, say.
   * @param {UploadStatus | UploadMissing} event
   */
  #heed(event) {
    if (event.type !== "status" || !LOST.includes(event.state)) return;
    this.#isOver = true;
    // The answer to the transfer itself may be on its way, with better words.
    if (event.state !== "failed") this.#stop.abort(errorOf(event));
  }

  /** @param {Phase} phase */
  #enter(phase) {
    this.phase = phase;
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} received bytes */
  #advance(received) {
    this.received = received;
    const { uploadUrl, key } = /** @type {import("./transfer.js").Ticket} */ (this.ticket);
    if (uploadUrl.provider !== "filesystem") this.destination.watcher.report(key, received, this.total);
    this.dispatchEvent(new Event("change"));
  }

  #forget() {
    if (!this.ticket || this.#isOver) return;
    this.#isOver = true;
    cancelUpload(this.ticket.cancelUrl, this.ticket.key, this.destination.csrfHeaders);
  }
}
