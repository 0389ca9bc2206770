// What every page needs of a script. A page that has data-follow is told when the
// journal has something new, and asks for that part of itself again.
"use strict";

(function () {
	// An answer that is a page with a problem on it is shown like any other.
	document.addEventListener("htmx:beforeSwap", function (e) {
		if (e.detail.xhr.status >= 400 && e.detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/html")) {
			e.detail.shouldSwap = true;
			e.detail.isError = false;
		}
	});

	// Followed parts: <div id="x" data-follow="/changes" data-event="journal" hx-get=... hx-trigger="follow">.
	// A tab that is not looked at lets go: a browser has few connections to one host.
	let source = null;

	function open() {
		const part = document.querySelector("[data-follow]");
		if (!part || source || document.hidden) return;
		source = new EventSource(part.dataset.follow);
		source.addEventListener(part.dataset.event, function () {
			for (const p of document.querySelectorAll("[data-follow]")) htmx.trigger(p, "follow");
		});
	}

	function close() {
		if (source) source.close();
		source = null;
	}

	document.addEventListener("visibilitychange", function () {
		if (document.hidden) {
			close();
			return;
		}
		for (const p of document.querySelectorAll("[data-follow]")) htmx.trigger(p, "follow"); // what was missed
		open();
	});
	document.addEventListener("htmx:afterSettle", open); // another part may be one to follow
	window.addEventListener("pagehide", close);
	window.addEventListener("pageshow", open);
	open();
})();
