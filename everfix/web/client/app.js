// What every page does beyond links and forms: partial updates (htmx), the colour theme, menus, copying, downloads.
import htmx from "htmx.org";

window.htmx = htmx;
const root = document.documentElement;

// ---- theme: the cookie is read by the server, so the next page comes in the right colours at once
const systemDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return root.dataset.theme === "dark" || (root.dataset.theme !== "light" && systemDark.matches);
}

function announceTheme() {
  document.dispatchEvent(new CustomEvent("everfix:theme", { detail: { dark: isDark() } }));
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-theme-form]");
  if (!form) return;
  event.preventDefault();
  const theme = isDark() ? "light" : "dark";
  root.dataset.theme = theme;
  const secure = location.protocol === "https:" ? ";Secure" : "";
  document.cookie = `everfix_theme=${theme};Path=/;Max-Age=31536000;SameSite=Lax${secure}`;
  form.elements.theme.value = theme === "dark" ? "light" : "dark";
  announceTheme();
});
systemDark.addEventListener("change", announceTheme);

// ---- menus made of <details>: one open at a time, closed by Escape, by a click elsewhere and by choosing
function closeMenus(except) {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (menu !== except) menu.open = false;
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("details[data-menu]"));
  const chosen = event.target.closest("details[data-menu=''] button, details[data-menu=''] a");
  if (chosen) setTimeout(() => closeMenus(null));
  const copier = event.target.closest("[data-copy]");
  if (copier) copy(copier);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details[data-menu][open]");
  if (open) {
    open.open = false;
    open.querySelector("summary").focus();
  }
});

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  await navigator.clipboard.writeText(source.textContent.trim());
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1500);
}

// ---- an export that has just finished is handed to the browser once
document.addEventListener("htmx:after:swap", () => {
  for (const link of document.querySelectorAll("a[data-download-now]")) {
    link.removeAttribute("data-download-now");
    link.click();
  }
});

document.addEventListener("click", (event) => {
  const closer = event.target.closest("[data-dismiss]");
  if (!closer) return;
  const form = closer.closest("form");
  closer.closest(closer.dataset.dismiss)?.remove();
  form?.dispatchEvent(new Event("change", { bubbles: true }));
});

// ---- figures that keep up with what happens, unless nobody looks or somebody reads what is behind one
setInterval(() => {
  if (document.hidden || document.querySelector("#figures details[open]")) return;
  for (const part of document.querySelectorAll("[data-refresh]")) part.dispatchEvent(new Event("everfix:refresh"));
}, 30_000);

document.addEventListener("change", (event) => event.target.closest("form[data-submit-on-change]")?.requestSubmit());
for (const button of document.querySelectorAll("[data-no-script]")) button.hidden = true;

// ---- a report was saved from a menu: the menu has done its work
document.addEventListener("htmx:after:swap", () => {
  if (document.querySelector("#notices [data-saved]")) closeMenus(null);
});

// ---- a page kept by the browser's back button may show what has changed since, or a session that has ended
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// ---- the bell: the server says whenever the number of unread notifications changes; the browser connects again by itself
if (document.querySelector("[data-bell]") && window.EventSource) {
  const source = new EventSource("/notifications/stream");
  source.addEventListener("unread", (event) => {
    for (const badge of document.querySelectorAll("[data-unread]")) {
      badge.textContent = event.data;
      badge.hidden = event.data === "0";
    }
  });
  addEventListener("pagehide", () => source.close());
}

// ---- lists that one chooses from: how many are chosen, all at once, and the keys / j k x
function choosing(form) {
  const boxes = [...form.querySelectorAll("input[name='chosen']")];
  const chosen = boxes.filter((box) => box.checked).length;
  const all = form.querySelector("[data-choose-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  const told = form.querySelector("[data-chosen]");
  if (told) told.textContent = chosen ? `${chosen} chosen` : "None chosen";
  for (const button of form.querySelectorAll("button[name='op']")) button.disabled = !chosen;
}

for (const form of document.querySelectorAll("form[data-choosing]")) {
  choosing(form);
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-choose-all]"))
      for (const box of form.querySelectorAll("input[name='chosen']")) box.checked = event.target.checked;
    choosing(form);
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type='checkbox']), select, textarea")) return;
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.focus();
    search.select();
    return;
  }
  const rows = [...document.querySelectorAll("a[data-row]")];
  const at = rows.findIndex((row) => row.closest("tr").contains(document.activeElement));
  if (event.key === "j" || event.key === "k") rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
  if (event.key === "x" && at >= 0) rows[at].closest("tr").querySelector("input[name='chosen']")?.click();
});

// ---- fields in which one types a few letters of a name and chooses from what the server offers; without scripts the whole name is typed
function choices(field) {
  return document.getElementById(field.getAttribute("aria-controls"));
}

function offer(field, open) {
  choices(field).hidden = !open;
  field.setAttribute("aria-expanded", open);
  if (!open) field.removeAttribute("aria-activedescendant");
}

// What is chosen is sent by id in a field of its own; what was only typed is sent as it stands.
function held(field) {
  if (!field.held) {
    field.held = Object.assign(document.createElement("input"), { type: "hidden", name: field.name });
    field.removeAttribute("name");
    field.after(field.held);
  }
  return field.held;
}

async function look(field) {
  const asked = field.value.trim();
  const query = new URLSearchParams({ q: asked, but: field.dataset.but });
  const answer = await fetch(`${field.dataset.pick}?${query}`, { headers: { "HX-Request": "true" } });
  if (field.value.trim() !== asked || document.activeElement !== field) return;
  choices(field).innerHTML = answer.ok ? await answer.text() : '<li class="nothing" role="presentation">The list cannot be read now. Type the whole name.</li>';
  offer(field, true);
}

function point(field, option) {
  for (const one of choices(field).querySelectorAll("[role='option']")) one.setAttribute("aria-selected", one === option);
  field.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function pick(field, option) {
  field.value = option.querySelector("b").textContent;
  held(field).value = option.dataset.id;
  offer(field, false);
}

document.addEventListener("input", (event) => {
  const field = event.target;
  if (!field.matches("[data-pick]")) return;
  held(field).value = field.value;
  clearTimeout(field.waiting);
  field.waiting = setTimeout(() => look(field), 150);
});
document.addEventListener("focusin", (event) => event.target.matches("[data-pick]") && look(event.target));
document.addEventListener("focusout", (event) => event.target.matches("[data-pick]") && offer(event.target, false));
document.addEventListener("mousedown", (event) => {
  const option = event.target.closest(".picker [role='option']");
  if (!option) return;
  event.preventDefault(); // the field keeps the focus
  pick(option.closest(".picker").querySelector("[data-pick]"), option);
});
document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (!field.matches("[data-pick]")) return;
  const options = [...choices(field).querySelectorAll("[role='option']")];
  const at = options.findIndex((one) => one.id === field.getAttribute("aria-activedescendant"));
  const open = !choices(field).hidden;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!open) return look(field);
    const to = (at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length;
    if (options.length) point(field, options[at < 0 && event.key === "ArrowUp" ? options.length - 1 : to]);
  }
  if (event.key === "Enter" && open && at >= 0) {
    event.preventDefault();
    pick(field, options[at]);
  }
  if (event.key === "Escape" && open) {
    event.stopPropagation();
    offer(field, false);
  }
});
