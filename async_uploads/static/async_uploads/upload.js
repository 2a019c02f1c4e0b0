// One attempt to bring one file to storage: ticket, transfer, completion.

import { announceUpload } from "./status.js";
import {
  bypassesServer,
  cancelUpload,
  completeUpload,
  fetchStatus,
  requestTicket,
  sendFile,
  UploadError,
} from "./transfer.js";

/** @typedef {import("./status.js").UploadStatus} UploadStatus */
/** @typedef {import("./status.js").UploadMissing} UploadMissing */
/** @typedef {import("./transfer.js").Ticket} Ticket */
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
const PAUSES = [1000, 3000]; // ms before the completion is tried again
const PATIENCE = 15_000; // ms: who has waited longer than this is asked before it is tried again

/** @param {UploadStatus} status */
export function errorOf(status) {
  return new UploadError(status.error?.code ?? status.state, status.error?.message);
}

/** @param {unknown} error */
function isPassing(error) {
  return error instanceof UploadError && error.isPassing;
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

export class Upload extends EventTarget {
  /** @type {Phase} */ phase = "waiting";
  received = 0;
  /** @type {Ticket | null} */ ticket = null;
  /** Whether the bytes are in storage, and only the completion is left to try. */ isSent = false;
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
   * Emits `started` when there is a ticket, and `change` with each change of phase or progress. Run again where
   * `isSent`, it goes on with the completion.
   * @returns {Promise<UploadStatus>}
   * @throws {UploadError} or whatever `cancel` aborted it with
   */
  async run() {
    const ticket = this.ticket ?? (await this.#requestTicket());
    const unsubscribe = this.destination.watcher.subscribe(ticket.key, (event) => this.#heed(event));
    try {
      const status = await (this.isSent ? this.#complete(ticket) : this.#transfer(ticket));
      if (LOST.includes(status.state)) throw errorOf(status);
      return status;
    } catch (error) {
      this.isSent &&= error instanceof UploadError && error.isUndecided;
      // What the server refused, it has given up by itself.
      if (error instanceof UploadError && error.isSettled) this.#isOver = true;
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

  async #requestTicket() {
    const { generateUrl, fieldId, instanceId, csrfHeaders } = this.destination;
    const { name: filename, type: contentType, size } = this.file;
    const asked = { fieldId, filename, instanceId, contentType, size };
    const ticket = await requestTicket(generateUrl, asked, csrfHeaders, this.#stop.signal);
    this.ticket = ticket;
    announceUpload({ key: ticket.key, name: filename });
    this.dispatchEvent(new Event("started"));
    return ticket;
  }

  /** @param {Ticket} ticket */
  async #transfer(ticket) {
    const { signal } = this.#stop;
    this.#enter("uploading");
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
    if (!bypassesServer(ticket.uploadUrl) && answer?.type === "status") return answer;
    this.isSent = true;
    return this.#complete(ticket);
  }

  /**
   * Tells the server that the bytes are there; tries again for a while where nobody can look at them now.
   * @param {Ticket} ticket
   */
  async #complete(ticket) {
    const { signal } = this.#stop;
    const deadline = performance.now() + PATIENCE;
    this.#enter("checking");
    for (const milliseconds of PAUSES) {
      try {
        return await completeUpload(ticket, this.destination.csrfHeaders, signal);
      } catch (error) {
        if (!isPassing(error) || performance.now() > deadline) throw error;
      }
      await pause(milliseconds, signal);
    }
    return completeUpload(ticket, this.destination.csrfHeaders, signal);
  }

  /**
   * A connection that broke tells nothing. The server may know the reason, or have everything but the last word. A
   * cloud storage may have it, too, even where it refuses the same bytes for the second time, which a browser may send
   * on its own account: the server finds out when it is asked to complete the upload.
   * @param {Ticket} ticket
   * @param {unknown} error
   */
  async #explain(ticket, error) {
    if (!(error instanceof UploadError)) throw error;
    const { signal } = this.#stop;
    const mayBeThere = bypassesServer(ticket.uploadUrl) && this.phase === "checking" && error.isPassing;
    if (error.code !== "network" && !mayBeThere) throw error;
    const answer = mayBeThere
      ? completeUpload(ticket, this.destination.csrfHeaders, signal)
      : fetchStatus(ticket.statusUrl, ticket.key);
    const status = await answer.catch(() => null);
    signal.throwIfAborted();
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
    const { uploadUrl, key } = /** @type {Ticket} */ (this.ticket);
    if (bypassesServer(uploadUrl)) this.destination.watcher.report(key, received, this.total);
    this.dispatchEvent(new Event("change"));
  }

  #forget() {
    if (!this.ticket || this.#isOver) return;
    this.#isOver = true;
    cancelUpload(this.ticket.cancelUrl, this.ticket.key, this.destination.csrfHeaders);
  }
}
