// One call: a click into its drawing seeks the recording that was running then.
"use strict";

(function () {
	const began = Date.parse(document.getElementById("call")?.dataset.started);
	const sounds = [...document.querySelectorAll("audio[data-started]")];
	if (!began || !sounds.length) return;

	// at gives the recording that runs at some seconds after the call began, and
	// where in it that is.
	function at(seconds) {
		for (const sound of sounds) {
			const offset = seconds - (Date.parse(sound.dataset.started) - began) / 1000;
			if (offset >= -1 && (!sound.duration || offset <= sound.duration)) return [sound, Math.max(0, offset)];
		}
		return [];
	}

	for (const bar of document.querySelectorAll(".bar[data-at]")) {
		bar.classList.add("seeks");
		bar.addEventListener("click", function () {
			const [sound, offset] = at(Number(bar.dataset.at));
			if (!sound) return;
			for (const other of sounds) if (other !== sound) other.pause();
			sound.currentTime = offset;
			sound.play().catch(() => {}); // the player says what is wrong
		});
	}
})();
