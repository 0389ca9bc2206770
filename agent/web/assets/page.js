// What every page needs of a script. A page that has data-follow is told when the
// journal has something new, and asks for that part of itself again.
"use strict";

(function () {
	// On a narrow screen the menu, the periods and other choices are rows that are
	// moved along: what is chosen should be seen.
	function showChosen() {
		for (const now of document.querySelectorAll(".bar nav [aria-current], .choices [aria-current]")) {
			const row = now.closest("nav, .choices"), at = now.getBoundingClientRect(), whole = row.getBoundingClientRect();
			row.scrollLeft += at.left + at.width / 2 - whole.left - whole.width / 2; // the row alone: the page stays where it is
		}
	}
	showChosen();
	document.addEventListener("htmx:afterSettle", showChosen);

	// An answer that is a page with a problem on it is shown like any other: whole, for
	// it has none of the part that was asked for. But what follows the journal stays as
	// it was, and follows on.
	document.addEventListener("htmx:beforeSwap", function (e) {
		if (e.detail.requestConfig.triggeringEvent?.type === "follow") return;
		if (e.detail.xhr.status >= 400 && e.detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/html")) {
			e.detail.shouldSwap = true;
			e.detail.isError = false;
			e.detail.target = document.getElementById("main");
			e.detail.selectOverride = "#main";
			e.detail.swapOverride = "outerHTML";
		}
	});

	// A click that nobody answers says so. What follows the journal has its own sign.
	const away = document.getElementById("away");
	document.addEventListener("htmx:sendError", function (e) {
		if (away && e.detail.requestConfig.triggeringEvent?.type !== "follow") away.hidden = false;
	});
	document.addEventListener("htmx:afterRequest", function (e) {
		if (away && e.detail.successful) away.hidden = true;
	});

	// What had the focus gives it to what has the same id in the new part: htmx sees
	// to that. If there is no such thing, or it is folded away now, the nearest part
	// around it takes the focus: the keyboard must not begin at the top again.
	let around = [];
	document.addEventListener("htmx:beforeSwap", function () {
		around = [];
		for (let e = document.activeElement; e && e !== document.body; e = e.parentElement) {
			if (e.id) around.push(e.id);
		}
	});
	document.addEventListener("htmx:afterSettle", function () {
		for (const id of around.splice(0)) {
			if (document.activeElement !== document.body) return;
			const e = document.getElementById(id);
			(e?.querySelector(":scope > summary") ?? e)?.focus({ preventScroll: true });
		}
	});

	// Followed parts: <div id="x" data-follow="/changes" data-event="journal" hx-get=... hx-trigger="follow">.
	// A tab that is not looked at lets go: a browser has few connections to one host.
	let source = null;

	function open() {
		const part = document.querySelector("[data-follow]");
		if (!part || source || document.hidden) return;
		const journal = part.dataset.event === "journal"; // of which this page is as old as its head
		source = new EventSource(part.dataset.follow + (journal ? "?after=" + document.body.dataset.head : ""));
		source.addEventListener(part.dataset.event, follow);
		source.onopen = function () {
			if ("offline" in document.documentElement.dataset) follow(); // what was missed
			delete document.documentElement.dataset.offline;
		};
		source.onerror = function () {
			document.documentElement.dataset.offline = "";
			if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
			close();
			setTimeout(function () {
				follow(); // or it was the session that ended
				open();
			}, 10000);
		};
	}

	function follow() {
		for (const p of document.querySelectorAll("[data-follow]")) htmx.trigger(p, "follow");
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
		follow(); // what was missed
		open();
	});
	document.addEventListener("htmx:afterSettle", open); // another part may be one to follow
	window.addEventListener("pagehide", close);
	window.addEventListener("pageshow", open);
	open();
})();
