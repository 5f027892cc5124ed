"use strict";
// Every text that comes from the server is set as text, never as HTML.
(() => {
  const SILENT_MS = 1200; // after this long without a message the server counts as gone
  const byId = (id) => document.getElementById(id);
  const show = (id, text) => { byId(id).textContent = text; };
  const history = [];
  let now = null;
  let heardAt = performance.now();
  let overlay = true;
  let moving = false; // the slider is being moved

  function openVideo() {
    // Another address each time: a browser shows an earlier end of the stream otherwise.
    byId("video").src = `/video?overlay=${overlay ? "on" : "off"}&at=${Date.now()}`;
  }

  function fixed(value, digits) {
    return value === null || value === undefined ? "–" : value.toFixed(value < 100 ? digits : 0);
  }

  function percent(share) {
    return `${(100 * share).toFixed(1)} %`;
  }

  function drawChart() {
    const canvas = byId("chart");
    const scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const y = (value) => 2 + (1 - value) * (height - 4);
    const step = width / 239;
    const x = (index) => width - (history.length - 1 - index) * step;
    pen.strokeStyle = "#263240";
    pen.lineWidth = 1;
    for (const level of [0, 0.5, 1]) {
      pen.beginPath();
      pen.moveTo(0, y(level));
      pen.lineTo(width, y(level));
      pen.stroke();
    }
    if (now && now.operating_point) {
      pen.strokeStyle = "#93a3b3";
      pen.setLineDash([4, 4]);
      pen.beginPath();
      pen.moveTo(0, y(now.operating_point.value));
      pen.lineTo(width, y(now.operating_point.value));
      pen.stroke();
      pen.setLineDash([]);
    }
    pen.strokeStyle = "#3ceb3c";
    pen.fillStyle = "rgb(60 235 60 / 18%)";
    pen.lineWidth = 1.5;
    let start = 0;
    while (start < history.length) { // each stretch without a gap
      if (history[start] === null) { start += 1; continue; }
      let end = start;
      while (end + 1 < history.length && history[end + 1] !== null) end += 1;
      pen.beginPath();
      for (let index = start; index <= end; index += 1) pen.lineTo(x(index), y(history[index]));
      if (start === end) pen.lineTo(x(end) + step, y(history[end]));
      pen.stroke();
      pen.lineTo(x(end), y(0));
      pen.lineTo(x(start), y(0));
      pen.fill();
      start = end + 1;
    }
  }

  function showEvents(events) {
    const list = byId("events");
    const key = events.map((event) => `${event.time_s} ${event.what}`).join("\n");
    if (list.dataset.key === key && list.childElementCount) return;
    list.dataset.key = key;
    const lines = events.slice().reverse().map((event) => {
      const line = document.createElement("li");
      const time = document.createElement("time");
      const minutes = Math.floor(event.time_s / 60);
      time.textContent = `${minutes}:${String(Math.floor(event.time_s % 60)).padStart(2, "0")}`;
      const what = document.createElement("span");
      what.textContent = event.what;
      line.append(time, what);
      return line;
    });
    if (!lines.length) {
      const none = document.createElement("li");
      none.textContent = "none so far";
      lines.push(none);
    }
    list.replaceChildren(...lines);
  }

  function showState() {
    const silent = performance.now() - heardAt > SILENT_MS;
    let [state, notice, still] = ["live", "", false];
    if (now && now.ended) [state, notice, still] = ["ended", "The run has ended", true];
    else if (silent) [state, notice, still] = ["offline", "No connection to the device", true];
    else if (!now || now.age_ms === null) [state, notice] = ["waiting", "Waiting for the first frame"];
    else if (now.lost) {
      const seconds = ((now.age_ms + performance.now() - heardAt) / 1000).toFixed(1);
      [state, notice, still] = ["lost", `No new frame for ${seconds} s`, true];
    }
    const pill = byId("state");
    pill.textContent = { lost: "no signal" }[state] || state;
    pill.className = `pill ${state}`;
    byId("stage").classList.toggle("still", still);
    byId("notice").hidden = !notice;
    byId("notice").classList.toggle("quiet", state === "ended" || state === "waiting");
    show("notice", notice);
    for (const id of ["recording", "snapshot", "point"]) {
      byId(id).disabled = state === "ended" || state === "offline" || (id === "recording" && now?.recording === null);
    }
  }

  function receive(message) {
    now = message;
    heardAt = performance.now();
    history.push(message.point);
    if (history.length > 240) history.shift();
    show("source", `${message.source} · ${message.weights}`);
    const current = message.lost ? {} : message;
    show("presence", current.presence === undefined ? "–" : fixed(100 * current.presence, 1));
    byId("presence-tile").classList.toggle("sure", current.presence >= message.operating_point.value);
    show("area", fixed(current.area_percent, 1));
    show("regions", current.regions ?? "–");
    show("region-count", message.region_count === undefined ? "" : `of ${message.region_count} so far`);
    show("fps", fixed(message.fps, 1));
    const { inference, end_to_end: total } = message.latency_ms;
    show("total50", fixed(total?.p50, 1));
    show("total99", fixed(total?.p99, 1));
    show("inference50", fixed(inference?.p50, 1));
    show("inference99", fixed(inference?.p99, 1));
    byId("rec").hidden = !message.recording;
    byId("recording").setAttribute("aria-pressed", String(Boolean(message.recording)));
    show("recording", message.recording ? "Stop" : "Record");
    const { value, least, most } = message.operating_point;
    const slider = byId("point");
    slider.min = least;
    slider.max = most;
    if (!moving) {
      slider.value = value;
      show("point-value", percent(value));
    }
    showEvents(message.events);
    showState();
    drawChart();
  }

  async function press(address, body) {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    if (!answer.ok) throw new Error((await answer.json()).error);
    return answer;
  }

  function refuse(error) {
    show("notice", error.message);
    byId("notice").hidden = false;
  }

  byId("overlay").addEventListener("click", () => {
    overlay = !overlay;
    byId("overlay").setAttribute("aria-pressed", String(overlay));
    openVideo();
  });
  byId("recording").addEventListener("click", () => {
    press("/recording", { on: !now.recording }).catch(refuse);
  });
  byId("snapshot").addEventListener("click", async () => {
    try {
      const answer = await press("/snapshot");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = /filename="([\w.]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    } catch (error) {
      refuse(error);
    }
  });
  byId("point").addEventListener("input", () => {
    moving = true;
    show("point-value", percent(Number(byId("point").value)));
  });
  byId("point").addEventListener("change", () => {
    press("/operating-point", { value: Number(byId("point").value) })
      .catch(refuse)
      .finally(() => { moving = false; });
  });

  const numbers = new EventSource("/status");
  numbers.addEventListener("history", (event) => {
    history.splice(0, history.length, ...JSON.parse(event.data));
    openVideo(); // at the first connection, and after the server was gone
  });
  numbers.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    receive(message);
    if (message.ended) numbers.close();
  });
  setInterval(showState, 200);
})();
