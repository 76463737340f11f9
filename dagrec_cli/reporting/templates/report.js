// A click on a column's head sorts its table; a second one turns it round. Empty cells stay last, and
// each line says all of it.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = head.closest("table").tBodies[0];
    const isNumber = head.classList.contains("number");
    const before = head.getAttribute("aria-sort") ?? (isNumber ? "ascending" : "descending");
    const order = before === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    const key = (row) => row.cells[head.cellIndex].dataset.order;
    const compare = (a, b) => (isNumber ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [key(one), key(other)];
      return (a === "") - (b === "") || sign * compare(a, b);
    });
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    for (const cell of body.querySelectorAll(".again")) cell.classList.remove("again");
    head.setAttribute("aria-sort", order);
    body.append(...rows);
  });
}
