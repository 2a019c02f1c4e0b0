// Files that come by drag and drop or by paste.

/**
 * @typedef {HTMLElement & {canTake: boolean, wants: (file: File) => boolean, take: (file: File) => void}} Taker
 */

/** @type {Set<Taker>} */
const takers = new Set();

/** @param {DataTransfer | null} transfer */
function carriesFiles(transfer) {
  return transfer?.types.includes("Files") ?? false;
}

/**
 * @param {DataTransfer | null} transfer
 * @returns {File | null} the first that is no folder
 */
function firstFile(transfer) {
  for (const item of transfer?.items ?? []) {
    if (item.kind !== "file" || item.webkitGetAsEntry?.()?.isDirectory) continue;
    return item.getAsFile();
  }
  return null;
}

/** @param {EventTarget | null} target */
function isEditable(target) {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("textarea, input:not([type=file], [type=checkbox], [type=radio])"))
  );
}

/**
 * Browsers call every pasted image "image.png": a time of day tells two of them apart.
 * @param {File} file
 */
function renamePasted(file) {
  if (file.name !== "image.png") return file;
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  const time = local.toISOString().slice(0, 19).replace("T", "-").replaceAll(":", "");
  return new File([file], `image-${time}.png`, { type: file.type });
}

/**
 * The field that a paste is meant for: the one with the focus, else the one under the pointer, else the only one.
 * @param {EventTarget | null} target
 * @param {File} file
 */
function takerOfPaste(target, file) {
  const able = [...takers].filter((taker) => taker.canTake);
  const focused = able.find((taker) => target instanceof Node && taker.contains(target));
  if (focused || isEditable(target)) return focused;
  const wanting = able.filter((taker) => taker.wants(file));
  return wanting.find((taker) => taker.matches(":hover")) ?? (wanting.length === 1 ? wanting[0] : undefined);
}

/** @param {ClipboardEvent} event */
function onPaste(event) {
  const file = firstFile(event.clipboardData);
  const taker = file && takerOfPaste(event.target, file);
  if (!taker) return;
  event.preventDefault();
  taker.take(renamePasted(file));
}

/**
 * A file dropped beside the field would replace the page, and with it all that was typed.
 * @param {DragEvent} event
 */
function refuseStray(event) {
  if (event.defaultPrevented || takers.size === 0 || !event.dataTransfer || !carriesFiles(event.dataTransfer)) return;
  if (event.target instanceof HTMLInputElement && event.target.type === "file") return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none";
}

/**
 * Lets an element take files that are dropped on it.
 * @param {Taker} taker
 */
export function takeDrops(taker) {
  /** @param {DragEvent} event */
  const onDrag = (event) => {
    if (!taker.canTake || !event.dataTransfer || !carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    taker.toggleAttribute("data-dragging", true);
  };
  taker.addEventListener("dragenter", onDrag);
  taker.addEventListener("dragover", onDrag);
  taker.addEventListener("dragleave", (event) => {
    if (event.relatedTarget instanceof Node && taker.contains(event.relatedTarget)) return;
    taker.removeAttribute("data-dragging");
  });
  taker.addEventListener("drop", (event) => {
    taker.removeAttribute("data-dragging");
    if (!taker.canTake || !carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    const file = firstFile(event.dataTransfer);
    if (file) taker.take(file);
  });
}

/**
 * From now on an element is offered what is pasted.
 * @param {Taker} taker
 */
export function takePastes(taker) {
  takers.add(taker);
}

/** @param {Taker} taker */
export function leavePastes(taker) {
  takers.delete(taker);
}

addEventListener("paste", onPaste);
addEventListener("dragover", refuseStray);
addEventListener("drop", refuseStray);
