// "Add another row" for Django formsets. Without this script the server's own empty row is still there.

for (const formset of document.querySelectorAll("[data-formset]")) {
  const prefix = formset.dataset.formset;
  const total = formset.querySelector(`[name="${prefix}-TOTAL_FORMS"]`);
  const rows = formset.querySelector(".formset-rows");
  const template = formset.querySelector("template");
  const button = formset.querySelector(":scope > button");

  button.hidden = false;
  button.addEventListener("click", () => {
    // Django's empty_form carries __prefix__ where the number of the row belongs.
    const index = total.value;
    const row = document.createElement("template");
    row.innerHTML = template.innerHTML.replaceAll("__prefix__", index);
    rows.append(row.content);
    total.value = Number(index) + 1;
    rows.lastElementChild.querySelector("input[type=file], input:not([type=hidden])")?.focus();
  });
}
