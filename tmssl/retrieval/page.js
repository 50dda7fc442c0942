"use strict";
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, place = head.cellIndex;
    const body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => row.cells[place].dataset.sort;
    const rows = [...body.rows];
    const numbers = rows.every(row => !isNaN(key(row)));
    const value = row => key(row) === "" ? -Infinity : Number(key(row));
    const compare = (a, b) => value(a) === value(b) ? 0 : value(a) < value(b) ? -1 : 1;
    rows.sort((a, b) => (numbers ? compare(a, b) : key(a).localeCompare(key(b))) * (up ? 1 : -1));
    body.append(...rows);
  });
}
