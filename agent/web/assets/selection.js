// The form that chooses calls: its lists close when one has done with them.
"use strict";

(function () {
	document.addEventListener("click", function (e) {
		for (const pick of document.querySelectorAll("details.pick[open]")) {
			if (!pick.contains(e.target)) pick.open = false;
		}
	});

	document.addEventListener("keydown", function (e) {
		if (e.key !== "Escape") return;
		for (const pick of document.querySelectorAll("details.pick[open]")) {
			pick.open = false;
			pick.querySelector("summary").focus();
		}
	});

	// What has one value applies at once.
	document.addEventListener("change", function (e) {
		const form = e.target.closest("form.filter");
		if (form && (e.target.name === "missed" || e.target.name === "sort" || e.target.name === "limit")) form.requestSubmit();
	});
})();
