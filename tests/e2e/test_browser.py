"""A real browser plays recordings straight from the API, and seeks in them."""

import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import unittest

import sound
from phone import Phone
from recordings import file_of, finished
from server import HOST, WithCalls, wait_until

# The tones of a recording, and how long each lasts.
FIRST, SECOND, SECONDS = 600, 1000, 5

# Plays each file from two places, the later first, and says which tone is loudest at each.
PAGE = """<!doctype html><script>
const urls = URLS;
const happens = (target, event) => new Promise((done, failed) => {
  target.addEventListener(event, done, {once: true});
  target.addEventListener("error", () => failed(target.error.message), {once: true});
});
const sleep = ms => new Promise(done => setTimeout(done, ms));
async function tone(audio, analyser) {
  const bins = new Float32Array(analyser.frequencyBinCount);
  for (let tries = 0; tries < 100; tries++) {
    await sleep(50);
    analyser.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    if (bins[loudest] > -60) return loudest * analyser.context.sampleRate / analyser.fftSize;
  }
  return 0;
}
async function listen(url) {
  const audio = new Audio();
  audio.crossOrigin = "anonymous";
  audio.src = url;
  await happens(audio, "loadedmetadata");
  const context = new AudioContext();
  const found = {duration: audio.duration, tones: []};
  for (const at of [PLACES]) {
    const analyser = new AnalyserNode(context, {fftSize: 4096, smoothingTimeConstant: 0});
    found.source ||= context.createMediaElementSource(audio);
    found.source.disconnect();
    found.source.connect(analyser).connect(context.destination);
    const seeked = happens(audio, "seeked");
    audio.currentTime = at;
    await seeked;
    await audio.play();
    found.tones.push(await tone(audio, analyser));
    audio.pause();
  }
  delete found.source;
  await context.close();
  return found;
}
(async () => {
  const results = {};
  for (const url of urls) results[url] = await listen(url).catch(error => ({error: String(error)}));
  await fetch("/heard", {method: "POST", body: JSON.stringify(results)});
})();
</script>"""


class Browser:
    """Chromium with one page, and what that tells."""

    def __init__(self, page):
        browser = self
        self.heard = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(page.encode())

            def do_POST(self):
                browser.heard = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(b"")

            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer((HOST, 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.folder = tempfile.TemporaryDirectory(prefix="mixminus-browser-", ignore_cleanup_errors=True)
        self.log = open(pathlib.Path(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required",
             # The page is not the API's: without this it may play the files, but not look at the samples.
             "--disable-web-security", f"--user-data-dir={self.folder.name}/profile",
             f"http://{HOST}:{self.http.server_port}/"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.http.shutdown()
        self.http.server_close()
        self.folder.cleanup()


class Playback(WithCalls):
    def test_a_browser_plays_each_format_from_the_place_that_is_asked_for(self):
        rooms = {"3501": "wav", "3502": "opus", "3503": "flac"}
        phones = {room: Phone(self.server, room) for room in rooms}
        begun = {}
        for room, phone in phones.items():
            phone.call(room)
            body = self.server.request("POST", f"/v1/rooms/{room}/recordings", {"format": rooms[room], "rate": 48000})[1]
            begun[room] = json.loads(body)["id"]
        octets = sound.tone(FIRST, SECONDS) + sound.tone(SECOND, SECONDS)
        for phone in phones.values():
            phone.play(octets, 2 * SECONDS)
        for phone in phones.values():
            phone.stop_playing()
            phone.hang_up()
            phone.__exit__()
        urls = {}
        for room, id in begun.items():
            recording = finished(self.server, id)
            urls[rooms[room]] = f"{self.server.api}/v1/recordings/{id}/files/{file_of(recording, '.' + rooms[room])}"
        page = PAGE.replace("URLS", json.dumps(list(urls.values()))).replace("PLACES", f"{SECONDS + 1}, 1")
        with Browser(page) as browser:
            wait_until(lambda: browser.heard, "the browser has heard them", 120)
        for format, url in urls.items():
            with self.subTest(format):
                found = browser.heard[url]
                self.assertNotIn("error", found)
                self.assertAlmostEqual(found["duration"], 2 * SECONDS, delta=1)
                self.assertEqual(len(found["tones"]), 2)
                for tone, expected in zip(found["tones"], (SECOND, FIRST)):
                    self.assertAlmostEqual(tone, expected, delta=30, msg=str(found))


if __name__ == "__main__":
    unittest.main()
