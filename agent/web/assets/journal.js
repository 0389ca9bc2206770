// The table of calls: new calls appear in it, and sound is played under it. Without
// this the page works as well: it is loaded again, and sound opens by itself.
"use strict";

(function () {
	// ---- New calls

	let asking = false, again = false;

	// follow asks for the page as it is now and puts in what is new. Rows that have
	// not changed stay the elements that they are, and what is looked at stays where
	// it is on the screen.
	async function follow() {
		const rows = document.getElementById("rows");
		if (!rows?.dataset.follow) return;
		if (asking) {
			again = true;
			return;
		}
		asking = true;
		const address = location.href;
		try {
			const answer = await fetch(address, { headers: { "HX-Request": "true" } });
			const page = new DOMParser().parseFromString(await answer.text(), "text/html");
			const fresh = page.getElementById("rows");
			if (answer.ok && fresh && rows.isConnected && location.href === address) {
				merge(rows, fresh);
				replace("sum", page);
				replace("pages", page);
			}
		} catch {
			// The daemon is away; when it is there again, something will be new.
		} finally {
			asking = false;
		}
		if (again) {
			again = false;
			follow();
		}
	}

	function merge(rows, fresh) {
		const seen = [...rows.children].find((r) => r.getBoundingClientRect().bottom > 0);
		const top = seen?.getBoundingClientRect().top;
		let before = rows.firstElementChild;
		for (const row of [...fresh.children]) {
			const old = document.getElementById(row.id);
			if (old && old.dataset.rev === row.dataset.rev) {
				if (old === before) before = before.nextElementSibling;
				else rows.insertBefore(old, before);
				continue;
			}
			const put = document.importNode(row, true);
			const held = old?.contains(document.activeElement) ? [...old.querySelectorAll("a")].indexOf(document.activeElement) : -1;
			if (!old) put.classList.add("new");
			if (old && old === before) before = before.nextElementSibling;
			old?.remove();
			rows.insertBefore(put, before);
			if (held >= 0) (put.querySelectorAll("a")[held] ?? put.querySelector("a"))?.focus({ preventScroll: true });
		}
		while (before) {
			const next = before.nextElementSibling;
			// A row that has the focus is not taken away: the keyboard would be lost.
			if (!before.contains(document.activeElement)) before.remove();
			before = next;
		}
		if (seen?.isConnected && window.scrollY > 0) {
			const moved = seen.getBoundingClientRect().top - top;
			if (moved) window.scrollBy({ top: moved, behavior: "instant" });
		}
	}

	function replace(id, page) {
		const now = document.getElementById(id), then = page.getElementById(id);
		// A sum that must be asked for stays until somebody asks again.
		if (!now || !then || then.querySelector("[hx-get]") || now.contains(document.activeElement)) return;
		if (now.innerHTML === then.innerHTML) return;
		const put = document.importNode(then, true);
		now.replaceWith(put);
		htmx.process(put);
	}

	document.addEventListener("follow", follow);

	// ---- Sound

	let playing = null;

	function stop() {
		const player = document.getElementById("player");
		if (!player) return;
		player.querySelector("audio").pause();
		player.hidden = true;
		playing?.setAttribute("aria-pressed", "false");
	}

	function play(link) {
		const player = document.getElementById("player");
		const sound = player.querySelector("audio");
		const row = link.closest("tr");
		stop();
		playing = link;
		link.setAttribute("aria-pressed", "true");
		player.querySelector(".what").textContent = [link.dataset.play, row.querySelector("time").textContent, row.querySelector(".c-from").textContent.trim()].join(" · ");
		player.hidden = false;
		sound.src = link.href;
		sound.play().catch(() => {}); // the player says what is wrong
	}

	document.addEventListener("click", function (e) {
		const link = e.target.closest("a.play");
		if (link && !e.ctrlKey && !e.metaKey && !e.shiftKey) {
			e.preventDefault();
			play(link);
		}
		if (e.target.closest("#player .close")) {
			const back = playing;
			stop();
			back?.focus();
		}
	});
})();
