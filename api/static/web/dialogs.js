// Buttons that open and close <dialog> elements by id.

export function startDialogs() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-show-dialog]");
    if (opener) document.getElementById(opener.dataset.showDialog)?.showModal();
    if (event.target.closest?.("[data-close-dialog]")) event.target.closest("dialog")?.close();
    if (event.target.tagName === "DIALOG") event.target.close(); // its backdrop
  });
}
