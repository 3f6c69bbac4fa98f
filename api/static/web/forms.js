// Forms and htmx: the form token, questions before what cannot be undone, notices that go away.

export function startForms() {
  document.addEventListener("htmx:config:request", (event) => {
    const token = document.querySelector('meta[name="csrf-token"]')?.content;
    const request = event.detail.ctx.request;
    if (token && request.method.toUpperCase() !== "GET") request.headers["X-CSRF-Token"] = token;
  });
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset?.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  }, true);
  document.addEventListener("click", (event) => {
    event.target.closest?.("[data-dismiss]")?.closest(".notice")?.remove();
  });
  // Menus close when one looks elsewhere.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
  });
}

// Say something once, where screen readers hear it too.
export function say(sentence, kind = "good") {
  const notice = document.createElement("p");
  notice.className = `notice notice-${kind}`;
  const text = document.createElement("span");
  text.textContent = sentence;
  notice.append(text);
  document.getElementById("notices")?.append(notice);
  setTimeout(() => notice.remove(), 8000);
}
