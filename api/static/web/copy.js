// Copy buttons: the text of the code beside them.

export function startCopying() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy || button.closest("[data-copyable]")?.querySelector("code")?.textContent;
    if (text == null) return;
    await write(text);
    button.dataset.done = "yes";
    setTimeout(() => delete button.dataset.done, 1500);
  });
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea"); // plain http has no clipboard
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
