// The clocks of the board go on between two answers of the server. They count from
// what the server said and from when it said it by this machine's clock, so that
// neither a clock that is wrong nor a tab that slept makes a wait shorter.
"use strict";

(function () {
	const seen = new WeakMap(); // a clock → when it came

	function written(ms) {
		const s = Math.round(ms / 1000), two = n => String(n).padStart(2, "0");
		return s < 3600 ? Math.floor(s / 60) + ":" + two(s % 60) : Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) + ":" + two(s % 60);
	}

	function tick() {
		const board = document.getElementById("live");
		if (!board) return;
		const limit = Number(board.dataset.serviceLevel), now = Date.now();
		for (const clock of board.querySelectorAll("[data-count]")) {
			if (!seen.has(clock)) seen.set(clock, now);
			const ms = Number(clock.dataset.count) + Math.max(0, now - seen.get(clock));
			const text = written(ms);
			if (clock.textContent !== text) clock.textContent = text;
			if (!("judged" in clock.dataset)) continue;
			const level = ms > limit ? "bad" : 2 * ms > limit ? "warn" : "good"; // as level in live.go
			const whole = clock.closest("[data-level]"), word = whole?.querySelector(".level");
			if (whole && whole.dataset.level !== level) whole.dataset.level = level;
			if (word && word.textContent !== board.dataset[level]) word.textContent = board.dataset[level];
		}
	}

	tick();
	setInterval(tick, 250);
	document.addEventListener("htmx:afterSwap", tick);
	document.addEventListener("visibilitychange", tick);

	const button = document.getElementById("fullscreen"), board = document.getElementById("board");
	if (button && board.requestFullscreen) {
		button.hidden = false;
		button.addEventListener("click", () => document.fullscreenElement ? document.exitFullscreen() : board.requestFullscreen());
	}
})();
