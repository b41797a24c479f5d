// Building and updating the document. Text only ever becomes text: nothing here reads HTML.

export const byId = (id) => document.getElementById(id);

/** An element with a class, and text or children. */
export function element(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** Set text, touching the document only where it differs. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * Make the children of `parent` the rows given, in order, keeping the element of a key that stays:
 * focus, open details and scroll positions survive an update.
 */
export function keyed(parent, rows, keyOf, create, update) {
  const kept = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]));
  const wanted = [];
  for (const row of rows) {
    const key = String(keyOf(row));
    let child = kept.get(key);
    if (child) kept.delete(key);
    else {
      child = create(row);
      child.dataset.key = key;
    }
    update(child, row);
    wanted.push(child);
  }
  for (const gone of kept.values()) gone.remove();
  wanted.forEach((child, index) => {
    const there = parent.children[index] ?? null;
    if (there === child) return;
    if (child.parentNode === parent && parent.moveBefore) parent.moveBefore(child, there);
    else parent.insertBefore(child, there);
  });
}

/** A table row of `classes.length` cells; the first is its header. */
export function tableRow(classes) {
  const row = element("tr");
  classes.forEach((className, index) => {
    const cell = element(index === 0 ? "th" : "td", className);
    if (index === 0) cell.scope = "row";
    row.append(cell);
  });
  return row;
}
